use super::*;

#[test]
fn a_core_is_to_be_woken_by_the_first_letter_that_it_waits_for() {
    let mail = Rc::<Mail>::default();
    let (commands, mut receiver) = tokio::sync::mpsc::unbounded_channel();
    let letterbox = mail.open(7, commands);
    let address = letterbox.address();
    // It does not wait yet.
    assert!(address.put(Command::Cancelled).is_none());
    let mut delivering = std::pin::pin!(mail.clone().deliver());
    let mut context = Context::from_waker(Waker::noop());
    assert!(delivering.as_mut().poll(&mut context).is_pending());
    assert!(matches!(receiver.try_recv(), Ok(Command::Cancelled)));
    let woken = [Command::Cancelled, Command::ReasonsRead].map(|command| address.put(command));
    assert_eq!(woken.map(|waker| waker.is_some()), [true, false]);
    assert!(receiver.try_recv().is_err(), "nothing is handed on by another thread");
    assert!(delivering.as_mut().poll(&mut context).is_pending());
    assert!(matches!(receiver.try_recv(), Ok(Command::Cancelled)));
    assert!(matches!(receiver.try_recv(), Ok(Command::ReasonsRead)));
    // What comes for a connection that has ended is nobody's.
    drop(letterbox);
    assert!(address.put(Command::Cancelled).is_some());
    assert!(delivering.as_mut().poll(&mut context).is_pending());
    assert!(receiver.try_recv().is_err());
}
