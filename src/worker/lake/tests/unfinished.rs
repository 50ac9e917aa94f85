//! Plans that somebody left unfinished, or that contradict the log.

use super::*;

/// A plan stands, its worker died before any file, and the log has lost the records since.
#[test]
fn a_plan_whose_records_are_gone_is_marked_lost_and_the_chain_goes_on() {
    let (mut river, plan) = with_an_unfinished_plan();
    river.world.expire(River::raw(0), NextOffset(plan.s.0 + 1));
    let last = river.append(0, &event("z", 0));
    river.worker(1, &topology(BY_TENANT), settings(1 << 20));

    river.run_until(60, |river| river.rows.contains_key(&(Partition(0), last)));

    let lost = river.object(0, ControlKey::Lost(plan.s)).expect("it is marked");
    let lost: crate::lake::Lost = serde_json::from_slice(&lost).unwrap();
    assert_eq!(lost.missing, plan.files.iter().map(|file| file.key.clone()).collect::<Vec<_>>());
    assert_eq!(river.plans(0)[1].s, plan.e);
    assert_eq!(river.halts(), []);
}

#[test]
fn an_unfinished_plan_of_another_topology_is_finished_as_that_one_decided() {
    let (mut river, plan) = with_an_unfinished_plan();
    river.worker(1, &topology("year"), settings(500));

    river.run_until(60, River::is_complete);

    assert!(plan.files.iter().all(|file| river.world.object(&file.key).is_some()));
    assert!(plan.files.len() > 2, "the test needs several passes");
}

/// A zombie's create lands while the new owner buffers from the same slot, and it ends earlier.
#[test]
fn a_shorter_plan_that_was_there_first_is_adopted_and_the_rest_is_read_again() {
    let (before, plan) = with_an_unfinished_plan();
    let mut river = calm();
    for tenant in 0..20 {
        river.append(0, &event(&format!("t{}", tenant % 4), 0));
    }
    let patient = topology(BY_TENANT).replace("2s", "1d").replace("4KiB", "4MiB");
    river.worker(0, &patient, settings(1 << 20));
    river.world.run_for(Duration::from_secs(4));
    let config = config_path("lake/", plan.configuration);
    let body = before.world.object(&config).expect("it stands before the first plan");
    let slot = River::chain(0).path("lake/", ControlKey::Plan(plan.s));
    put(&mut river, &[(config, body), (slot, plan.encode())]);
    let goal = river.goal();
    river.lives.borrow().controls[0].set_goal(goal);

    river.run_until(20, |river| !river.lives.borrow().ended.is_empty());

    assert_eq!(river.lives.borrow().ended, [Ok(Outcome::Idle)]);
    assert!(river.is_complete());
    assert_eq!(river.plans(0)[0], plan);
    assert_eq!(river.plans(0)[1].s, plan.e);
}

#[test]
fn a_plan_that_the_log_contradicts_halts_its_partition_and_no_other() {
    let (mut river, mut plan) = with_an_unfinished_plan();
    plan.checksum ^= 1;
    let mut other = River::new(2, Faults::calm());
    let path = River::chain(0).path("lake/", ControlKey::Plan(plan.s));
    put(&mut other, &[(path, plan.encode())]);
    let genesis = River::chain(0).path("lake/", ControlKey::Genesis);
    put(&mut other, &[(genesis, b"{\"s\":0}".to_vec())]);
    for (partition, offset) in river.appended.keys() {
        let record = &river.world.records(River::raw(partition.0), NextOffset(offset.0))[0].record;
        let value = String::from_utf8(record.value.clone().unwrap()).unwrap();
        other.append(partition.0, &value);
    }
    let there = other.append(1, &event("fine", 0));
    river = other;
    river.worker(1, &topology(BY_TENANT), settings(1 << 20));

    river.run_until(60, |river| river.rows.contains_key(&(Partition(1), there)));
    river.run_until(60, |river| !river.halts().is_empty());

    let halts = river.halts();
    assert_eq!((halts.len(), halts[0].partition), (1, Partition(0)));
    assert!(halts[0].reason.contains("truncated"), "{}", halts[0].reason);
    assert!(river.rows.keys().all(|(partition, _)| *partition == Partition(1)));
    let goal = river.goal();
    river.lives.borrow().controls[0].set_goal(goal);
    river.run_until(10, |river| !river.lives.borrow().ended.is_empty());
    assert!(river.lives.borrow().ended[0].as_ref().is_err_and(|error| error.contains("halted")));
}

#[test]
fn a_plan_of_a_later_version_halts_by_name() {
    let mut river = calm();
    let genesis = River::chain(0).path("lake/", ControlKey::Genesis);
    let slot = River::chain(0).path("lake/", ControlKey::Plan(NextOffset(0)));
    put(&mut river, &[(genesis, b"{\"s\":0}".to_vec()), (slot, b"{\"transform\":9}".to_vec())]);
    river.append(0, &event("a", 0));
    river.worker(1, &topology(BY_TENANT), settings(1 << 20));

    river.run_until(60, |river| !river.halts().is_empty());

    assert!(river.halts()[0].reason.contains("transform version 9"), "{:?}", river.halts());
    assert!(river.rows.is_empty());
}

/// A world in which a worker died right after it had created its first plan of partition 0.
fn with_an_unfinished_plan() -> (River, Plan) {
    let mut river = calm();
    for tenant in 0..12 {
        river.append(0, &event(&format!("t{}", tenant % 4), 0));
    }
    river.worker(0, &topology(BY_TENANT), settings(1 << 20));
    let slot = River::chain(0).path("lake/", ControlKey::Plan(NextOffset(0)));
    while river.world.object(&slot).is_none() {
        assert!(river.world.step());
    }
    river.world.remove(0);
    river.look();
    assert!(river.rows.is_empty());
    let plan = river.plans(0).remove(0);
    (river, plan)
}
