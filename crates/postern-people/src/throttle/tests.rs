use super::*;

fn at(seconds: i64) -> Timestamp {
    Timestamp(1_564_617_600_000_000 + seconds * MICROSECONDS)
}

/// How many attempts fail before one of them does not count any more.
fn failures(throttle: &mut Throttle, attempts: impl Iterator<Item = Attempt>) -> usize {
    let counts = |attempt: &Attempt| {
        let free = throttle.standing(*attempt, at(0)) == Standing::Free;
        throttle.failed(*attempt, at(0));
        free
    };
    attempts.take_while(counts).count()
}

#[test]
fn a_name_is_guessed_at_no_faster_from_many_places() {
    let mut throttle = Throttle::new([7; 32]);
    let places: Vec<_> =
        (0..200_u8).map(|place| throttle.attempt("eva", &[10, 0, 0, place])).collect();
    assert_eq!(failures(&mut throttle, places.into_iter()), 10);
    let other = throttle.attempt("eva", &[10, 1, 0, 0]);
    assert_eq!(throttle.standing(other, at(0)), Standing::Throttled);
    // Time gives some back.
    assert_eq!(throttle.standing(other, at(59)), Standing::Throttled);
    assert_eq!(throttle.standing(other, at(120)), Standing::Free);
    assert_eq!(throttle.failed(other, at(120)), Standing::Throttled);
}

#[test]
fn a_place_guesses_no_faster_at_many_names() {
    let mut throttle = Throttle::new([7; 32]);
    let names: Vec<_> = (0..200)
        .map(|number| throttle.attempt(&format!("agent{number}"), &[10, 0, 0, 1]))
        .collect();
    assert_eq!(failures(&mut throttle, names.into_iter()), 30);
    let elsewhere = throttle.attempt("agent199", &[10, 0, 0, 2]);
    assert_eq!(throttle.standing(elsewhere, at(0)), Standing::Free);
}

#[test]
fn who_has_logged_in_from_a_place_is_not_locked_out_from_elsewhere() {
    let mut throttle = Throttle::new([7; 32]);
    let desk = throttle.attempt("eva", b"desk");
    throttle.succeeded(desk);
    for number in 0..50_u8 {
        let attack = throttle.attempt("eva", &[number]);
        throttle.failed(attack, at(0));
    }
    assert_eq!(throttle.standing(desk, at(0)), Standing::Free);
    // But nobody guesses there without end, and a log-in takes no failure back.
    let failed = failures(&mut throttle, std::iter::repeat(desk));
    assert_eq!(failed, 10);
    throttle.succeeded(desk);
    assert_eq!(throttle.standing(desk, at(0)), Standing::Throttled);
}

#[test]
fn clocks_that_jump_do_no_harm() {
    let mut throttle = Throttle::new([7; 32]);
    let eva = throttle.attempt("eva", b"desk");
    for now in [at(0), Timestamp(i64::MAX), Timestamp(i64::MIN), at(0)] {
        throttle.failed(eva, now);
        let _ = throttle.standing(eva, now);
    }
}
