use std::{cell::RefCell, rc::Rc, sync::Arc};

use postern_session::Judge;
use postern_sql::{Mode, Rules};

use super::{IDLE_MAX, Judges, REMEMBERED_BYTES_MAX, Ruled};

fn judges() -> Judges {
    Judges::new("pk_".into(), Arc::from(["public".to_owned()]))
}

fn rules(number: usize) -> Ruled {
    let own = Arc::new(Rules {
        mode: Mode::Restricted,
        tables: Vec::new(),
        functions: Vec::new(),
        relations: Vec::new(),
        unprotected: Some(vec![format!("public.t{number}")]),
        reason_names: Vec::new(),
    });
    Ruled { own, observing: None }
}

/// Has a judge see so many texts of 64 KiB, which it takes for half a megabyte each.
fn fill(judge: &Rc<RefCell<Judge>>, texts: usize) {
    for number in 0..texts {
        let sql = format!("SELECT {number} {}", "-".repeat(64_000));
        judge.borrow_mut().judge(&sql);
    }
}

#[test]
fn judges_that_nobody_uses_are_let_go() {
    let mut judges = judges();
    let used = judges.judge(None, &rules(0));
    for number in 1..100 {
        judges.judge(None, &rules(number));
    }
    assert!(judges.judges.len() <= IDLE_MAX + 2, "{}", judges.judges.len());
    assert!(Rc::ptr_eq(&used, &judges.judge(None, &rules(0))));
    let last = judges.judges.len();
    judges.judge(None, &rules(99));
    assert_eq!(judges.judges.len(), last, "the last one is known still");
}

#[test]
fn judges_share_what_they_may_remember() {
    let mut judges = judges();
    let first = judges.judge(None, &rules(0));
    fill(&first, 40);
    let mut used = vec![first];
    for number in 1..100 {
        let judge = judges.judge(None, &rules(number));
        fill(&judge, 4);
        used.push(judge);
        let remembered: usize = used.iter().map(|one| one.borrow().remembered_bytes()).sum();
        assert!(remembered <= REMEMBERED_BYTES_MAX, "{remembered} by {number}");
    }
    let judge = &used[99];
    let share = REMEMBERED_BYTES_MAX / 100;
    assert!((1..=share).contains(&judge.borrow().remembered_bytes()));
    assert_eq!(used[0].borrow().remembered_bytes(), 0, "it had more than its share");
}
