//! Stores that answer late, wrongly or not at all, and logs that lose what they had.

use super::*;

#[test]
fn a_late_create_is_refused_if_another_was_first() {
    let faults = Faults { create_unknown: 1000, ..Faults::calm() };
    let outcomes: Vec<(usize, Vec<u8>)> = (0..40)
        .map(|seed| {
            let mut world = world(seed, faults.clone());
            drive(&mut world, 1, |handles| async move {
                let created = handles.objects.create("slot", b"mine".to_vec()).await.unwrap();
                assert_eq!(created, Created::Unknown);
            });
            world.heal();
            drive(&mut world, 2, |handles| async move {
                handles.objects.create("slot", b"theirs".to_vec()).await.unwrap();
            });
            world.run_for(Duration::from_secs(120));
            (world.stored(0).len(), world.object("slot").unwrap())
        })
        .collect();

    assert!(outcomes.iter().all(|(count, _)| *count == 1), "create-only means once");
    assert!(outcomes.iter().any(|(_, body)| body == b"mine"));
    assert!(outcomes.iter().any(|(_, body)| body == b"theirs"));
}

#[test]
fn an_overwriting_store_is_noticed() {
    let mut world = world(1, Faults { store_overwrites: true, ..Faults::calm() });

    drive(&mut world, 1, |handles| async move {
        for body in [b"1", b"2"] {
            assert_eq!(handles.objects.create("k", body.to_vec()).await.unwrap(), Created::Now);
        }
    });

    assert_eq!(world.violations(), ["I6: `k` has changed"]);
}

#[test]
fn a_conflict_has_no_effect_and_a_lost_answer_any() {
    let mut world = world(11, Faults { create_refused: 1000, ..Faults::calm() });
    drive(&mut world, 1, |handles| async move {
        let refused = handles.objects.create("a", b"1".to_vec()).await.unwrap_err();
        assert_eq!(refused.reaction, Reaction::Retry);
    });
    assert_eq!(world.stored(0), []);

    let there = (0..30).filter(|&seed| {
        let mut world = self::world(seed, Faults { create_unknown: 1000, ..Faults::calm() });
        drive(&mut world, 1, |handles| async move {
            assert_eq!(handles.objects.create("a", b"1".to_vec()).await.unwrap(), Created::Unknown);
        });
        world.object("a").is_some()
    });
    let there = there.count();
    assert!((3..=27).contains(&there), "there at once in {there} of 30");
}

#[test]
fn an_unclean_election_takes_acknowledged_records_and_gives_their_offsets_again() {
    let mut world = world(12, Faults::calm());
    let first = world.append_raw(P0, None, Some(b"kept".to_vec()));
    for lost in ["lost", "lost too"] {
        world.append_raw(P0, None, Some(lost.into()));
    }

    assert_eq!(world.truncate(at(Topic::Raw), first.next()), 2);
    let again = world.append_raw(P0, None, Some(b"other".to_vec()));

    assert_eq!(again.0, first.0 + 1);
    assert_eq!(texts(&world, Topic::Raw), ["kept", "other"]);
}

#[test]
fn what_retention_took_is_a_failure_to_read_and_never_a_silent_skip() {
    let mut world = world(13, Faults::calm());
    for _ in 0..4 {
        world.append_raw(P0, None, Some(b"x".to_vec()));
    }
    world.expire(at(Topic::Raw), NextOffset(2));

    drive(&mut world, 1, |handles| async move {
        let mut reader = handles.log.reader();
        let refused = reader.read(at(Topic::Raw), NextOffset(1), 1 << 20).await.unwrap_err();
        assert_eq!(refused.reaction, Reaction::Halt);
        assert_eq!(reader.ends(at(Topic::Raw), Isolation::ReadCommitted).await.unwrap().first, NextOffset(2));
    });
}
