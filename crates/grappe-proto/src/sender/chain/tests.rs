//! A chain played in steps: receivers that store what their source has, die, fall silent or are slow.

use proptest::prelude::*;

use super::*;

const END: u32 = 4_000;
const STEP: Duration = Duration::from_millis(20);

/// Blocks that a sound receiver stores in a step: 100 MiB/s.
const SPEED: u32 = 8;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    Sound,
    /// Stores an eighth of what the others do.
    Slow,
    /// Stores and reports as if it were sound, and gives nothing to others.
    Stingy,
    /// Reports no more, and its connection stays.
    Mute,
    Dead,
}

struct Node {
    health: Health,
    stored: u32,
    source: Option<Source>,
}

/// What the chain would be told of real receivers.
struct Play {
    chain: Chain,
    now: Time,
    nodes: Vec<Node>,
    numbers: Vec<u32>,
    moved: Vec<(u16, &'static str)>,
}

impl Play {
    fn new(count: u16) -> Self {
        let mut chain = Chain::new(BlockIndex(END));
        for peer in 0..count {
            chain.add(PeerId(peer), Time::ZERO);
        }
        let node = |_| Node {
            health: Health::Sound,
            stored: 0,
            source: None,
        };
        Self {
            chain,
            now: Time::ZERO,
            nodes: (0..count).map(node).collect(),
            numbers: vec![0; count.into()],
            moved: Vec::new(),
        }
    }

    fn step(&mut self) {
        self.now = self.now + STEP;
        let before: Vec<u32> = self.nodes.iter().map(|node| node.stored).collect();
        // The sender's link is one for all that fetch from it; the slow leave what they do not use.
        let draws = |health: Health| {
            let draws = |node: &&Node| node.source == Some(Source::Sender) && node.health == health;
            self.nodes.iter().filter(draws).count() as u32
        };
        let left = SPEED.saturating_sub(draws(Health::Slow));
        let share = left / draws(Health::Sound).max(1);
        for number in 0..self.nodes.len() {
            let peer = PeerId(number as u16);
            let from_sender = self.nodes[number].source == Some(Source::Sender);
            let reach = match self.nodes[number].source {
                None => continue,
                Some(Source::Sender) => END,
                Some(Source::Peer(source)) => match self.nodes[source.as_usize()].health {
                    Health::Dead => {
                        self.nodes[number].source = None;
                        self.chain.unfed(peer, self.numbers[number], self.now);
                        continue;
                    }
                    Health::Mute | Health::Stingy => 0,
                    _ => before[source.as_usize()],
                },
            };
            let node = &mut self.nodes[number];
            let speed = match node.health {
                Health::Sound | Health::Stingy if from_sender => share.max(1),
                Health::Sound | Health::Stingy => SPEED,
                Health::Slow => 1,
                Health::Mute | Health::Dead => continue,
            };
            node.stored = (node.stored + speed).min(reach.max(node.stored));
        }
        for (number, node) in self.nodes.iter().enumerate() {
            if !matches!(node.health, Health::Mute | Health::Dead) {
                let peer = PeerId(number as u16);
                self.chain.serves(peer);
                (self.chain).progress(peer, BlockIndex(node.stored), false, self.now);
            }
        }
        for starved in self.chain.starved(self.now) {
            self.nodes[starved.as_usize()].source = None;
        }
        let (moved, feeds) = self.chain.settle(self.now);
        self.moved
            .extend(moved.iter().map(|moved| (moved.peer.0, moved.reason)));
        for feed in feeds {
            self.nodes[feed.peer.as_usize()].source = Some(feed.source);
            self.numbers[feed.peer.as_usize()] = feed.number;
        }
        self.check();
    }

    /// Every source leads to the sender without going in a circle, and nobody is fed by the dead that the
    /// chain knows of.
    fn check(&self) {
        for link in &self.chain.links {
            let mut source = link.source;
            for _ in 0..=self.nodes.len() {
                source = match source {
                    None | Some(Source::Sender) => break,
                    Some(Source::Peer(peer)) => self.chain.find(peer).expect("in the chain").source,
                };
            }
            assert!(
                matches!(source, None | Some(Source::Sender)),
                "{:?} is fed in a circle",
                link.peer
            );
        }
    }

    fn kill(&mut self, number: u16) {
        self.nodes[usize::from(number)].health = Health::Dead;
        self.chain.remove(PeerId(number));
    }

    /// Plays until all that are sound have everything; answers how long that took.
    fn finish(&mut self) -> Duration {
        let began = self.now;
        while self.now.since(began) < Duration::from_secs(120) {
            let sound = |node: &&Node| node.health == Health::Sound;
            if (self.nodes.iter().filter(sound)).all(|node| node.stored == END) {
                return self.now.since(began);
            }
            self.step();
        }
        let stored: Vec<_> = self
            .nodes
            .iter()
            .map(|node| (node.health, node.stored))
            .collect();
        panic!("not over: {stored:?}, sources {:?}", self.chain.links);
    }
}

/// What an undisturbed copy takes, as there is nothing but the time to fill the chain on top.
fn undisturbed(count: u16) -> Duration {
    Play::new(count).finish()
}

#[test]
fn each_is_fed_by_the_one_before_it() {
    let mut play = Play::new(4);
    play.step();
    play.step();
    let sources: Vec<_> = play.nodes.iter().map(|node| node.source).collect();
    let peer = |number| Some(Source::Peer(PeerId(number)));
    assert_eq!(sources, [Some(Source::Sender), peer(0), peer(1), peer(2)]);
    play.finish();
    assert!(play.moved.is_empty(), "{:?}", play.moved);
    assert_eq!(play.chain.owes(PeerId(0)), None);
    assert!(!play.chain.draws_on_sender());
}

#[test]
fn the_first_is_fed_by_the_trunk_and_by_the_sender_without_it() {
    let now = Time::ZERO;
    let mut chain = Chain::new(BlockIndex(END));
    chain.add(PeerId(1), now);
    chain.set_trunk(PeerId(0), now);
    assert_eq!(
        chain.settle(now).1,
        [],
        "the trunk has not said where it listens"
    );
    chain.serves(PeerId(0));
    let (_, feeds) = chain.settle(now);
    assert_eq!(feeds[0].source, Source::Peer(PeerId(0)));
    chain.remove(PeerId(0));
    let (_, feeds) = chain.settle(now);
    assert_eq!(feeds[0].source, Source::Sender);
    assert!(chain.draws_on_sender());
}

#[test]
fn a_stale_complaint_changes_nothing() {
    let mut play = Play::new(2);
    play.step();
    play.step();
    let number = play.numbers[1];
    play.chain
        .unfed(PeerId(1), number.wrapping_sub(1), play.now);
    assert_eq!(play.chain.settle(play.now).1, []);
    play.chain.unfed(PeerId(1), number, play.now);
    let (_, feeds) = play.chain.settle(play.now);
    assert_eq!(
        feeds[0].source,
        Source::Sender,
        "what failed is not tried again at once"
    );
}

#[test]
fn when_all_sources_failed_they_are_tried_again() {
    let mut play = Play::new(2);
    play.step();
    play.step();
    for _ in 0..6 {
        let number = play.chain.links[1].number;
        play.chain.unfed(PeerId(1), number, play.now);
        play.now = play.now + RETRY;
        let (_, feeds) = play.chain.settle(play.now);
        assert_eq!(feeds.len(), 1);
    }
}

#[test]
fn a_slow_receiver_holds_nobody_else() {
    for slow in 1..5 {
        let mut play = Play::new(6);
        play.nodes[slow].health = Health::Slow;
        let took = play.finish();
        assert!(took < undisturbed(6) * 3 / 2, "{took:?} with {slow} slow");
        assert_eq!(play.moved[0].0, slow as u16, "{:?}", play.moved);
    }
}

#[test]
fn a_slow_first_receiver_is_found_by_trial() {
    let mut play = Play::new(4);
    play.nodes[0].health = Health::Slow;
    let took = play.finish();
    assert_eq!(play.moved[0], (0, "slower than the one after it"));
    assert!(
        took < undisturbed(4) + TRIAL_AFTER + TRIAL_MAX * 2,
        "{took:?}"
    );
}

#[test]
fn a_trial_of_a_sound_first_receiver_changes_nothing() {
    let mut play = Play::new(4);
    let mut longest = Duration::ZERO;
    while play.nodes[0].stored < END {
        play.step();
        let lasts = |trial: Trial| play.now.since(trial.since);
        longest = longest.max(play.chain.trial.map_or(longest, lasts));
    }
    assert!(play.chain.trials > 0, "the copy was too short for one");
    assert_eq!(play.moved, []);
    // Half of the link yields 24 blocks in 120 ms.
    assert!(longest <= TRIAL_BEGINS + TRIAL_SPAN * 2, "{longest:?}");
}

#[test]
fn who_gives_nothing_feeds_nobody_for_long_wherever_it_stands() {
    for stingy in 0..4 {
        let mut play = Play::new(5);
        play.nodes[stingy].health = Health::Stingy;
        let took = play.finish();
        let allowed = undisturbed(5) + STARVED + Duration::from_secs(2);
        assert!(took < allowed, "{took:?} with {stingy} stingy");
    }
}

#[test]
fn who_waits_for_what_its_source_lacks_or_for_its_own_disk_does_not_starve() {
    let mut chain = Chain::new(BlockIndex(END));
    for peer in 0..3 {
        chain.add(PeerId(peer), Time::ZERO);
        chain.serves(PeerId(peer));
    }
    chain.settle(Time::ZERO);
    for second in 0..20 {
        let now = Time::ZERO + Duration::from_secs(second);
        chain.progress(PeerId(0), BlockIndex(9), false, now);
        chain.progress(PeerId(1), BlockIndex(9), false, now);
        chain.progress(PeerId(2), BlockIndex(5), true, now);
        assert_eq!(chain.starved(now), []);
    }
    let now = Time::ZERO + Duration::from_millis(19_200);
    chain.progress(PeerId(0), BlockIndex(10), false, now);
    assert_eq!(chain.starved(now), [], "what is new is not there yet");
    chain.progress(PeerId(1), BlockIndex(10), false, now);
    let now = Time::ZERO + Duration::from_secs(24);
    for (peer, stored) in [(0, 10), (1, 10), (2, 5)] {
        chain.progress(PeerId(peer), BlockIndex(stored), false, now);
    }
    assert_eq!(
        chain.starved(now),
        [PeerId(2)],
        "the disk has nothing to do"
    );
}

#[test]
fn a_slow_receiver_is_passed_by_on_slow_links_as_well() {
    let mut chain = Chain::new(BlockIndex(END));
    let peers = [0, 1, 2].map(PeerId);
    for peer in peers {
        chain.add(peer, Time::ZERO);
        chain.serves(peer);
    }
    chain.settle(Time::ZERO);
    for tick in 0..400_u32 {
        let now = Time::ZERO + Duration::from_millis(100) * tick;
        // 20 Mbit/s, a tenth of that at the second, which the third cannot outrun.
        for (peer, stored) in [(0, tick), (1, tick / 10), (2, tick / 10)] {
            chain.progress(PeerId(peer), BlockIndex(stored), false, now);
        }
        if let (moved, _) = chain.settle(now)
            && let [moved] = &moved[..]
        {
            return assert_eq!(moved.peer, PeerId(1));
        }
    }
    panic!("nobody was passed by");
}

#[test]
fn a_trunk_that_is_slow_to_pass_blocks_on_feeds_nobody_any_more() {
    let mut chain = Chain::new(BlockIndex(END));
    let trunk = PeerId(9);
    for peer in 0..4 {
        chain.add(PeerId(peer), Time::ZERO);
        chain.serves(PeerId(peer));
    }
    chain.set_trunk(trunk, Time::ZERO);
    chain.serves(trunk);
    chain.settle(Time::ZERO);
    for tick in 0..200_u32 {
        let now = Time::ZERO + Duration::from_millis(100) * tick;
        chain.progress(trunk, BlockIndex(10 * tick), false, now);
        for peer in 0..4 {
            chain.progress(PeerId(peer), BlockIndex(tick), false, now);
        }
        chain.settle(now);
    }
    assert!(chain.is_slow_trunk(trunk));
    assert_eq!(chain.trunk_peer(), None);
    assert_eq!(chain.links[0].source, Some(Source::Sender));
}

#[test]
fn a_slow_receiver_at_the_end_is_left_there() {
    let mut play = Play::new(4);
    play.nodes[3].health = Health::Slow;
    play.finish();
    assert!(play.moved.is_empty());
}

proptest! {
    /// Whoever dies or falls silent, and whenever: the others get everything, hardly later.
    #[test]
    fn the_others_get_everything(
        count in 2u16..9,
        strikes in proptest::collection::vec((0u16..9, 0u64..12_000, any::<bool>()), 0..6),
    ) {
        let mut play = Play::new(count);
        let mut strikes = strikes;
        strikes.sort_by_key(|(_, at, _)| *at);
        for (victim, at, dies) in &strikes {
            let at = Time::ZERO + Duration::from_millis(*at);
            while play.now < at {
                play.step();
            }
            let victim = victim % count;
            match play.nodes[usize::from(victim)].health {
                Health::Dead => {}
                _ if *dies => play.kill(victim),
                _ => play.nodes[usize::from(victim)].health = Health::Mute,
            }
        }
        play.finish();
        // A silence costs the second in which it is noticed and the place it is noticed at.
        let allowed = undisturbed(count) + Duration::from_secs(3) * (strikes.len() as u32);
        prop_assert!(play.now.since(Time::ZERO) <= allowed + Duration::from_secs(12));
    }
}
