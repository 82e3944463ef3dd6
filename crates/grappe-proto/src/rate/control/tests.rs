//! Tests of the rate against links that only lose; those with queues are in `queues`.

mod queues;

use super::*;

/// A link of one receiver: what exceeds `knee` or meets chance is lost.
struct Link {
    knee: f64,
    own_loss: f64,
}

const PACKET: u64 = 1_500;

/// Runs `control` over `link` for `millis`, answering every 5 ms, and returns the mean rate of the last half.
fn run(control: &mut RateControl, link: &Link, millis: u64, state: &mut (f64, f64, u64)) -> f64 {
    let (sent, received, start) = state;
    let mut sum = 0.0;
    for milli in *start..*start + millis {
        let now = Time::from_nanos(milli * 1_000_000);
        let packets = control.rate().bytes_per_second() as f64 / 1_000.0 / PACKET as f64;
        *sent += packets;
        let passing = packets.min(link.knee / 1_000.0 / PACKET as f64);
        *received += passing * (1.0 - link.own_loss);
        control.sent(
            now,
            (packets * PACKET as f64) as u64,
            Sequence(*sent as u64),
        );
        if milli % 5 == 0 {
            let seen = Observation {
                highest: Sequence(*sent as u64),
                received: *received as u64,
                dropped: 0,
                echo: Echo::default(),
            };
            control.observe(now, PeerId(0), seen, Sequence(*sent as u64));
        }
        if milli >= *start + millis / 2 {
            sum += control.rate().bytes_per_second() as f64;
        }
    }
    *start += millis;
    sum / (millis - millis / 2) as f64
}

#[test]
fn finds_the_knee_within_a_second_and_stays() {
    for knee in [1.25e6, 12.5e6, 125e6, 1.25e9] {
        let mut control = RateControl::new(RateLimits::default(), PACKET, Time::ZERO);
        let mut state = (0.0, 0.0, 0);
        run(
            &mut control,
            &Link {
                knee,
                own_loss: 0.0,
            },
            1_000,
            &mut state,
        );
        let mean = run(
            &mut control,
            &Link {
                knee,
                own_loss: 0.0,
            },
            4_000,
            &mut state,
        );
        assert!(
            (0.88 * knee..1.06 * knee).contains(&mean),
            "knee {knee} found as {mean}"
        );
    }
}

#[test]
fn loss_that_is_the_links_own_does_not_cost_rate() {
    for own_loss in [0.01, 0.05] {
        let link = Link {
            knee: 125e6,
            own_loss,
        };
        let mut control = RateControl::new(RateLimits::default(), PACKET, Time::ZERO);
        let mut state = (0.0, 0.0, 0);
        run(&mut control, &link, 1_000, &mut state);
        let mean = run(&mut control, &link, 4_000, &mut state);
        assert!(
            (0.85 * link.knee..1.08 * link.knee).contains(&mean),
            "{own_loss}: {mean}"
        );
    }
}

#[test]
fn follows_a_link_that_halves_and_doubles() {
    let mut control = RateControl::new(RateLimits::default(), PACKET, Time::ZERO);
    let mut state = (0.0, 0.0, 0);
    run(
        &mut control,
        &Link {
            knee: 100e6,
            own_loss: 0.0,
        },
        2_000,
        &mut state,
    );
    let halved = run(
        &mut control,
        &Link {
            knee: 50e6,
            own_loss: 0.0,
        },
        2_000,
        &mut state,
    );
    assert!((44e6..53e6).contains(&halved), "halved: {halved}");
    let doubled = run(
        &mut control,
        &Link {
            knee: 100e6,
            own_loss: 0.0,
        },
        4_000,
        &mut state,
    );
    assert!((80e6..106e6).contains(&doubled), "doubled: {doubled}");
}

#[test]
fn the_cap_holds() {
    let cap = Rate::from_bytes_per_second(3_000_000);
    let limits = RateLimits {
        cap: Some(cap),
        ..RateLimits::default()
    };
    let mut control = RateControl::new(limits, PACKET, Time::ZERO);
    run(
        &mut control,
        &Link {
            knee: 1e9,
            own_loss: 0.0,
        },
        2_000,
        &mut (0.0, 0.0, 0),
    );
    assert_eq!(control.rate(), cap);
    assert!(control.is_capped());
}

/// Until a knee is known, reports are for links of 50 Mbit/s or what arrives; then for what the knee says.
#[test]
fn what_links_take_is_not_taken_for_granted() {
    let mut control = RateControl::new(RateLimits::default(), PACKET, Time::ZERO);
    assert_eq!(control.rate().bytes_per_second(), 12_500_000);
    assert_eq!(control.taken().bytes_per_second(), 6_250_000);
    for milli in 1..50 {
        let now = Time::from_nanos(milli * 1_000_000);
        // Eight packets in a millisecond, 12 MB/s.
        control.sent(now, 8 * PACKET, Sequence(8 * milli));
        for peer in [0, 1] {
            let echo = Echo {
                sent_at: now,
                arrived: now,
                received: 8 * milli,
                took: None,
            };
            let seen = Observation {
                highest: Sequence(8 * milli),
                received: 8 * milli,
                dropped: 0,
                echo,
            };
            if milli % 5 == 0 {
                control.observe(now, PeerId(peer), seen, Sequence(8 * milli));
            }
        }
    }
    assert_eq!(control.knee(), None);
    assert_eq!(control.taken().bytes_per_second(), 12_000_000);

    let mut control = RateControl::new(RateLimits::default(), PACKET, Time::ZERO);
    let link = Link {
        knee: 1.25e6,
        own_loss: 0.0,
    };
    run(&mut control, &link, 1_000, &mut (0.0, 0.0, 0));
    let knee = control.knee().expect("packets were lost");
    assert_eq!(control.taken(), knee.max(control.rate()));
    assert!(control.taken().bytes_per_second() < 2_500_000);
}

#[test]
fn who_has_a_share_is_back_at_it_soon_after_others_were_in_the_way() {
    let share = Rate::from_bytes_per_second(40_000_000);
    let link = |knee| Link {
        knee,
        own_loss: 0.0,
    };
    let mut control = RateControl::new(RateLimits::default(), PACKET, Time::ZERO);
    let mut state = (0.0, 0.0, 0);
    control.set_cap(share, Sequence(0));
    control.go_back_to(share, Sequence(0));
    run(&mut control, &link(100e6), 200, &mut state);
    run(&mut control, &link(12e6), 60, &mut state);
    let cut = control.rate();
    assert!(cut < share.scaled(0.6), "{cut:?}");
    run(&mut control, &link(100e6), 500, &mut state);
    assert_eq!(control.rate(), share);
}

#[test]
fn whose_own_way_is_narrower_than_its_share_does_not_swing_about_it() {
    let way = Link {
        knee: 30e6,
        own_loss: 0.0,
    };
    let mut control = RateControl::new(RateLimits::default(), PACKET, Time::ZERO);
    let mut state = (0.0, 0.0, 0);
    control.set_cap(Rate::from_bytes_per_second(40_000_000), Sequence(0));
    run(&mut control, &way, 3_000, &mut state);
    let (sent, received) = (state.0, state.1);
    let mean = run(&mut control, &way, 8_000, &mut state);
    assert!((0.88 * way.knee..1.06 * way.knee).contains(&mean), "{mean}");
    let lost = 1.0 - (state.1 - received) / (state.0 - sent);
    assert!(lost < 0.02, "{lost}");
}
