//! The courier on both of its ways, with an outlet that answers as a test wants.

use super::*;
use flume::RecvTimeoutError;
use rustix::io::Errno;
use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

const ALONE: usize = 1;
const BYTES_MAX: usize = 100;

/// Answers these, and then that all was sent; keeps what it was given.
#[derive(Default)]
struct Script {
    answers: Mutex<VecDeque<io::Result<SendOutcome>>>,
    taken: Mutex<Vec<Vec<u8>>>,
    /// Where there is one, a train is sent when a word comes.
    go_on: Option<Receiver<()>>,
}

impl Outlet for Script {
    fn send_train(&self, bytes: &[u8], segment: usize) -> io::Result<SendOutcome> {
        if let Some(go_on) = &self.go_on {
            let _over = go_on.recv();
        }
        self.taken.lock().unwrap().push(bytes.to_vec());
        let packets = bytes.len().div_ceil(segment);
        let answer = self.answers.lock().unwrap().pop_front();
        answer.unwrap_or(Ok(SendOutcome::Sent { packets }))
    }
}

fn script(answers: impl IntoIterator<Item = io::Result<SendOutcome>>) -> Arc<Script> {
    Arc::new(Script {
        answers: Mutex::new(answers.into_iter().collect()),
        ..Script::default()
    })
}

fn too_large() -> io::Result<SendOutcome> {
    Err(Errno::MSGSIZE.into())
}

/// Four packets of ten bytes, the last of five, with three symbols in each but two in the last.
const LARGE: Cut = Cut {
    len: 35,
    segment: 10,
    symbols: 11,
    in_each: 3,
    may_fail: false,
};

/// Sends trains cut so, one after the other; answers the outcomes and how many symbols were refused.
fn send(
    script: &Arc<Script>,
    processors: usize,
    cuts: &[Cut],
) -> (Vec<io::Result<SendOutcome>>, u64) {
    let outlet = Arc::clone(script);
    let mut courier = Courier::start(outlet, processors, BYTES_MAX).unwrap();
    courier.hurry(true);
    let mut train = vec![0; BYTES_MAX];
    let outcomes = (1_u8..).zip(cuts).map(|(number, cut)| {
        train.fill(number);
        courier.send(&mut train, *cut)
    });
    let outcomes = outcomes.collect();
    (outcomes, courier.finish())
}

#[test]
fn trains_leave_whole_and_in_order_on_both_ways() {
    for processors in [ALONE, PROCESSORS_APART] {
        let script = script([]);
        let cuts: Vec<Cut> = (1..=BYTES_MAX).map(Cut::one).collect();
        let (outcomes, refused) = send(&script, processors, &cuts);
        assert!(outcomes.iter().all(Result::is_ok));
        assert_eq!(refused, 0);
        let taken = script.taken.lock().unwrap();
        let wanted = (1_u8..=100).map(|number| vec![number; number.into()]);
        assert_eq!(*taken, wanted.collect::<Vec<_>>(), "{processors}");
    }
}

#[test]
fn what_was_refused_is_counted_by_symbols() {
    let refused = |sent, refused| Ok(SendOutcome::Refused { sent, refused });
    for processors in [ALONE, PROCESSORS_APART] {
        let told = |answer| send(&script([answer]), processors, &[LARGE]).1;
        assert_eq!(told(refused(0, 4)), 11);
        assert_eq!(told(refused(1, 3)), 8);
        assert_eq!(told(refused(3, 1)), 2);
        // The last packet has fewer, but it is the last: no count goes beyond the symbols there are.
        assert_eq!(told(refused(4, 0)), 0);
        assert_eq!(told(Err(Errno::NETUNREACH.into())), 11);
    }
}

#[test]
fn packets_above_what_the_interface_takes_are_lost_and_no_error_where_they_may_be() {
    let (outcomes, refused) = send(&script([too_large()]), ALONE, &[LARGE]);
    let lost = SendOutcome::Refused {
        sent: 0,
        refused: 4,
    };
    assert!(matches!(outcomes[..], [Ok(outcome)] if outcome == lost));
    assert_eq!(refused, 11);
    let sounding = Cut {
        may_fail: true,
        ..Cut::one(90)
    };
    let (outcomes, refused) = send(&script([too_large()]), ALONE, &[sounding]);
    let unknown = SendOutcome::Sent { packets: 0 };
    assert!(matches!(outcomes[..], [Ok(outcome)] if outcome == unknown));
    assert_eq!(refused, 1);
    let (outcomes, refused) = send(&script([too_large()]), ALONE, &[Cut::one(90)]);
    assert!(outcomes[0].is_err(), "a packet of the smallest size");
    assert_eq!(refused, 1);
}

#[test]
fn what_became_of_a_train_is_told_with_a_later_one() {
    let script = script([Err(Errno::NETUNREACH.into())]);
    let outlet = Arc::clone(&script);
    let mut courier = Courier::start(outlet, PROCESSORS_APART, BYTES_MAX).unwrap();
    courier.hurry(true);
    let mut train = vec![0; BYTES_MAX];
    // The buffers are few: the third train waits for the first to come back.
    let outcomes: Vec<_> = (0..3)
        .map(|_| courier.send(&mut train, Cut::one(5)))
        .collect();
    let errors = outcomes.iter().filter_map(|outcome| outcome.as_ref().err());
    let codes: Vec<_> = errors.map(io::Error::raw_os_error).collect();
    assert_eq!(codes, [Some(Errno::NETUNREACH.raw_os_error())]);
    assert_eq!(courier.finish(), 1);
    assert_eq!(script.taken.lock().unwrap().len(), 3);
}

#[test]
fn what_is_under_way_leaves_before_what_is_sent_without_hurry() {
    let script = script([]);
    let outlet = Arc::clone(&script);
    let mut courier = Courier::start(outlet, PROCESSORS_APART, BYTES_MAX).unwrap();
    let mut train = vec![0; BYTES_MAX];
    for number in 0..100_u8 {
        courier.hurry(number % 3 == 0);
        train.fill(number);
        let _under_way = courier.send(&mut train, Cut::one(1)).unwrap();
    }
    assert_eq!(courier.finish(), 0);
    let taken = script.taken.lock().unwrap();
    assert_eq!(
        *taken,
        (0..100).map(|number| vec![number]).collect::<Vec<_>>()
    );
}

#[test]
fn a_queue_that_does_not_move_holds_up_who_sends() {
    let (go_on, gate) = unbounded();
    let script = Arc::new(Script {
        go_on: Some(gate),
        ..Script::default()
    });
    let outlet = Arc::clone(&script);
    let (told, sent) = unbounded();
    let sending = thread::spawn(move || {
        let mut courier = Courier::start(outlet, PROCESSORS_APART, BYTES_MAX).unwrap();
        courier.hurry(true);
        let mut train = vec![0; BYTES_MAX];
        for number in 0..10 {
            let _under_way = courier.send(&mut train, Cut::one(5)).unwrap();
            told.send(number).unwrap();
        }
        courier.finish()
    });
    for number in 0..UNDER_WAY_MAX {
        assert_eq!(sent.recv(), Ok(number));
    }
    let next = sent.recv_timeout(Duration::from_millis(50));
    assert_eq!(next, Err(RecvTimeoutError::Timeout), "it waits");
    drop(go_on);
    assert_eq!(sending.join().unwrap(), 0);
    assert_eq!(script.taken.lock().unwrap().len(), 10, "all were sent");
}

#[test]
fn a_panic_while_sending_is_an_error_and_no_end_of_waiting() {
    struct Broken;
    impl Outlet for Broken {
        fn send_train(&self, _: &[u8], _: usize) -> io::Result<SendOutcome> {
            panic!("broken on purpose");
        }
    }
    let mut courier = Courier::start(Arc::new(Broken), PROCESSORS_APART, BYTES_MAX).unwrap();
    courier.hurry(true);
    let mut train = vec![0; BYTES_MAX];
    let outcomes: Vec<_> = (0..5)
        .map(|_| courier.send(&mut train, Cut::one(5)))
        .collect();
    let last = outcomes.last().unwrap().as_ref().unwrap_err().to_string();
    assert!(
        last.contains("internal error while sending: broken on purpose"),
        "{last}"
    );
    assert_eq!(train.len(), BYTES_MAX, "there is still room to seal into");
    assert_eq!(courier.finish(), 5);
}
