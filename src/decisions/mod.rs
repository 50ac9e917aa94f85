//! Why it is like this: one page for each question that somebody will ask again.
//!
//! A page says what was asked, what we answered, what we did not choose and why, and what would make us think again.
//! Pages are never rewritten into something else: a new answer gets a new page, and the old one points to it.
//! They stand in the documentation, so that a page naming a type that is gone fails the build.

#[doc = include_str!("0001-links-instead-of-transactions.md")]
pub mod links_instead_of_transactions {}

#[doc = include_str!("0002-plan-then-create.md")]
pub mod plan_then_create {}

#[doc = include_str!("0003-the-commit-record-is-the-position.md")]
pub mod the_commit_record_is_the_position {}

#[doc = include_str!("0004-one-protocol-for-every-log.md")]
pub mod one_protocol_for_every_log {}

#[doc = include_str!("0005-a-closed-language.md")]
pub mod a_closed_language {}

#[doc = include_str!("0006-path-text-that-nobody-decodes.md")]
pub mod path_text_that_nobody_decodes {}

#[doc = include_str!("0007-oracles-in-another-language.md")]
pub mod oracles_in_another_language {}

#[doc = include_str!("0008-one-record-for-each-pane.md")]
pub mod one_record_for_each_pane {}

#[doc = include_str!("0009-other-lives-as-long-as-its-windows.md")]
pub mod other_lives_as_long_as_its_windows {}

#[doc = include_str!("0010-the-order-inside-a-transaction.md")]
pub mod the_order_inside_a_transaction {}

#[doc = include_str!("0011-a-consumer-of-our-own.md")]
pub mod a_consumer_of_our_own {}

#[doc = include_str!("0012-health-metrics-and-logs.md")]
pub mod health_metrics_and_logs {}

#[doc = include_str!("0013-a-cut-over-brings-the-old-topology-along.md")]
pub mod a_cut_over_brings_the_old_topology_along {}

#[doc = include_str!("0014-a-new-value-is-null-until-it-is-whole.md")]
pub mod a_new_value_is_null_until_it_is_whole {}

#[doc = include_str!("0015-an-emptied-log-is-no-first-start.md")]
pub mod an_emptied_log_is_no_first_start {}

#[doc = include_str!("0016-failpoints-in-debug-builds.md")]
pub mod failpoints_in_debug_builds {}

#[doc = include_str!("0017-tokens-for-msk-are-signed-here.md")]
pub mod tokens_for_msk_are_signed_here {}

#[doc = include_str!("0018-a-call-that-never-returns-is-left.md")]
pub mod a_call_that_never_returns_is_left {}
