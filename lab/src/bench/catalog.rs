//! The cases with a purpose, and what is wanted of each: data only.
//!
//! How a name becomes a cluster is in `case`, how a goal is judged in `goal`.

use super::goal::Goal;

/// What a case copies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// One file.
    File {
        /// Its size.
        bytes: u64,
    },
    /// A folder of files of one size.
    Files {
        /// How many.
        count: u64,
        /// Size of each.
        bytes_each: u64,
    },
}

impl Content {
    /// All of it, in bytes.
    #[must_use]
    pub fn bytes(self) -> u64 {
        match self {
            Self::File { bytes } => bytes,
            Self::Files { count, bytes_each } => count * bytes_each,
        }
    }
}

/// A case of the catalog.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Spec {
    /// As given to `--case`.
    pub(super) name: &'static str,
    /// The cluster as `RECEIVERSxRATE[-LOSS%][-jumbo]`; empty when the name says it.
    pub(super) cluster: &'static str,
    /// Measured when no case is given.
    pub(super) is_default: bool,
    /// Rate of the last receiver's link where it is another, in Mbit/s.
    pub(super) slow_mbit: Option<u32>,
    /// How many of the receivers, the last ones, multicast does not reach.
    pub(super) deaf: u8,
    /// What is copied, when it is not one file of the size given to `--size`.
    pub(super) content: Option<Content>,
    /// A receiver is killed when it has half of the bytes: the last, or one in the pipeline's middle.
    pub(super) kills_one: bool,
    /// The case to hold it against: the same but for what this case is about.
    pub(super) beside: Option<&'static str>,
    pub(super) goals: &'static [Goal],
}

/// One file on the cluster that the name says, and nothing wanted.
pub(super) const PLAIN: Spec = Spec {
    name: "",
    cluster: "",
    is_default: false,
    slow_mbit: None,
    deaf: 0,
    content: None,
    kills_one: false,
    beside: None,
    goals: &[],
};

/// Small files, and as many bytes in one.
const FILE_BYTES: u64 = 4096;
const FEW: u64 = 5_000;
const MANY: u64 = 100_000;

const fn files(count: u64) -> Option<Content> {
    Some(Content::Files {
        count,
        bytes_each: FILE_BYTES,
    })
}

const fn one_file(count: u64) -> Option<Content> {
    Some(Content::File {
        bytes: count * FILE_BYTES,
    })
}

/// What a receiver may take, whatever the size of the copy.
const MEMORY: Goal = Goal::Memory(300.0);

const CATALOG: &[Spec] = &[
    Spec {
        name: "3x1g",
        is_default: true,
        goals: &[Goal::Rate(110.0), Goal::Share("limit", 94.0), MEMORY],
        ..PLAIN
    },
    Spec {
        name: "7x1g",
        is_default: true,
        goals: &[
            Goal::Share("limit", 85.0),
            Goal::Times("uftp", 4.0),
            Goal::Times("udpcast", 4.0),
            Goal::Beyond("chain"),
            MEMORY,
        ],
        ..PLAIN
    },
    Spec {
        name: "7x200m-1%",
        is_default: true,
        goals: &[Goal::Rate(22.0), MEMORY],
        ..PLAIN
    },
    Spec {
        name: "7xfree",
        is_default: true,
        goals: &[
            Goal::Share("limit", 45.0),
            Goal::Rate(180.0),
            Goal::Processor("uftp", 20.0),
            MEMORY,
        ],
        ..PLAIN
    },
    // Where frames of 9000 bytes pass: fewer headers.
    Spec {
        name: "7x1g-jumbo",
        beside: Some("7x1g"),
        goals: &[Goal::OfBeside(100.0), MEMORY],
        ..PLAIN
    },
    // What one receiver could have from rsync, scp, and from socat without any protocol.
    Spec {
        name: "1xfree",
        goals: &[Goal::Times("rsync", 1.0), Goal::Times("scp", 1.0), MEMORY],
        ..PLAIN
    },
    Spec {
        name: "7x200m-5%",
        beside: Some("7x200m-1%"),
        goals: &[Goal::Rate(20.0), MEMORY],
        ..PLAIN
    },
    // More receivers at a rate that two cores can carry to all of them; use a small --size.
    Spec {
        name: "31x100m",
        beside: Some("7x100m"),
        goals: &[Goal::OfBeside(95.0), MEMORY],
        ..PLAIN
    },
    Spec {
        name: "63x20m",
        beside: Some("7x20m"),
        goals: &[Goal::OfBeside(95.0), MEMORY],
        ..PLAIN
    },
    Spec {
        name: "one-slow",
        cluster: "7x200m",
        slow_mbit: Some(20),
        beside: Some("7x200m"),
        goals: &[Goal::OthersRate(21.0), MEMORY],
        ..PLAIN
    },
    Spec {
        name: "small-files",
        cluster: "7x1g",
        content: files(FEW),
        beside: Some("one-file"),
        goals: &[Goal::OfBeside(50.0), MEMORY],
        ..PLAIN
    },
    Spec {
        name: "one-file",
        cluster: "7x1g",
        content: one_file(FEW),
        ..PLAIN
    },
    Spec {
        name: "100k-files",
        cluster: "7x1g",
        content: files(MANY),
        beside: Some("100k-in-one"),
        goals: &[Goal::OfBeside(50.0), MEMORY],
        ..PLAIN
    },
    Spec {
        name: "100k-in-one",
        cluster: "7x1g",
        content: one_file(MANY),
        ..PLAIN
    },
    Spec {
        name: "killed",
        cluster: "7x200m",
        kills_one: true,
        beside: Some("7x200m"),
        goals: &[Goal::OthersDelay(1.0), MEMORY],
        ..PLAIN
    },
    // Multicast reaches nobody: from node to node over TCP, which `chain` does as well.
    Spec {
        name: "no-multicast-3",
        cluster: "3x1g",
        deaf: 3,
        goals: &[Goal::Rate(105.0), Goal::Beyond("chain")],
        ..PLAIN
    },
    Spec {
        name: "no-multicast",
        cluster: "7x1g",
        deaf: 7,
        goals: &[Goal::Rate(105.0), Goal::Beyond("chain")],
        ..PLAIN
    },
    // Four hear multicast and three do not.
    Spec {
        name: "mixed",
        cluster: "7x1g",
        deaf: 3,
        beside: Some("7x1g"),
        ..PLAIN
    },
    Spec {
        name: "no-multicast-200m",
        cluster: "7x200m",
        deaf: 7,
        ..PLAIN
    },
    Spec {
        name: "no-multicast-killed",
        cluster: "7x200m",
        deaf: 7,
        kills_one: true,
        beside: Some("no-multicast-200m"),
        goals: &[Goal::OthersDelay(2.0)],
        ..PLAIN
    },
];

pub(super) fn find(name: &str) -> Option<Spec> {
    CATALOG.iter().copied().find(|spec| spec.name == name)
}

/// The names of all cases of the catalog.
#[must_use]
pub fn names() -> Vec<&'static str> {
    CATALOG.iter().map(|spec| spec.name).collect()
}

/// The names of those that are measured when none is given.
#[must_use]
pub fn default_names() -> Vec<&'static str> {
    let chosen = CATALOG.iter().filter(|spec| spec.is_default);
    chosen.map(|spec| spec.name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::Case;

    #[test]
    fn every_case_and_the_one_beside_it_can_be_read() {
        for name in names() {
            let case: Case = name.parse().unwrap();
            assert_eq!(case.name(), name);
            if let Some(beside) = case.beside() {
                let beside: Case = beside.parse().unwrap();
                assert_eq!(beside.beside(), None, "{name}: one step is enough");
            }
        }
        assert!(!default_names().is_empty());
    }

    #[test]
    fn goals_speak_of_tools_that_exist() {
        let tools: Vec<_> = crate::peers::all().iter().map(|peer| peer.name()).collect();
        for goal in CATALOG.iter().flat_map(|spec| spec.goals) {
            assert!(
                goal.rival().is_none_or(|rival| tools.contains(&rival)),
                "{goal:?}"
            );
        }
    }
}
