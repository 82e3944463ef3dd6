//! Flags about the tree itself: what of it is sent, and what a receiver takes beside files.
//!
//! What they mean is in `grappe::files`.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use clap::{Arg, ArgAction, ArgGroup, ArgMatches, Args, Command, FromArgMatches};
use grappe::files::{Allowed, Filters, SourceOptions};
use grappe_proto::content::manifest::{Filter, Sync, Terms};

use super::error::CommandError;

// Each flag names its heading: one for the whole group would stay for the flags that follow it elsewhere.
const SENT: &str = "What is sent";
const TAKEN: &str = "What is taken";

/// Flags of `send`.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("syncing").args(["sync", "checksum"]).multiple(true)))]
pub(crate) struct TreeArguments {
    #[command(flatten)]
    filters: FilterArguments,
    /// Send extended attributes and access lists as well
    #[arg(long, help_heading = SENT)]
    xattrs: bool,
    /// Send devices, pipes and sockets as well; receivers take them with --allow-specials only
    #[arg(long, help_heading = SENT)]
    specials: bool,
    /// Send setuid, setgid and sticky bits and capabilities as well; receivers take them with
    /// --allow-setuid only
    #[arg(long, help_heading = SENT)]
    setuid: bool,
    /// Keep the numbers of users and groups, whatever their names are called here and there
    #[arg(long, help_heading = SENT)]
    numeric_owners: bool,
    /// Send only what a receiver lacks: files of another size or time, and of those that it has in another
    /// version the blocks that differ
    #[arg(long, help_heading = SENT)]
    sync: bool,
    /// As --sync, but compare all files by their content
    #[arg(long, help_heading = SENT)]
    checksum: bool,
    /// Remove at receivers what is not in the directories sent
    #[arg(long, requires = "syncing", help_heading = SENT)]
    delete: bool,
    /// Remove so many entries at most; a receiver that would remove more takes no part [default: 10, or as
    /// many as stay]
    #[arg(long, value_name = "N", requires = "delete", help_heading = SENT)]
    delete_max: Option<u64>,
    /// Change nothing; say what each receiver would do
    #[arg(long, requires = "syncing", help_heading = SENT)]
    dry_run: bool,
}

impl TreeArguments {
    /// Whether nothing is to be changed.
    pub(crate) const fn is_dry_run(&self) -> bool {
        self.dry_run
    }

    /// The first of those flags that was given that say what is sent, all of which are about files.
    pub(crate) fn given(&self) -> Option<&'static str> {
        let has_rule = |include| {
            self.filters
                .rules
                .iter()
                .any(|rule| rule.include == include)
        };
        let flags = [
            ("--sync", self.sync),
            ("--checksum", self.checksum),
            ("--exclude", has_rule(false)),
            ("--include", has_rule(true)),
            ("--xattrs", self.xattrs),
            ("--specials", self.specials),
            ("--setuid", self.setuid),
            ("--numeric-owners", self.numeric_owners),
        ];
        let mut given = flags.into_iter().filter(|(_, is_given)| *is_given);
        given.next().map(|(flag, _)| flag)
    }

    /// What they ask for.
    pub(crate) fn options(&self) -> Result<SourceOptions, CommandError> {
        let filters = Filters::new(self.filters.rules.clone())
            .map_err(|error| CommandError::usage(format_args!("--include, --exclude: {error}")))?;
        Ok(SourceOptions {
            filters,
            attributes: self.xattrs,
            specials: self.specials,
            powers: self.setuid,
            numeric_owners: self.numeric_owners,
            terms: Terms {
                sync: match (self.checksum, self.sync) {
                    (true, _) => Sync::Checksum,
                    (false, true) => Sync::Times,
                    (false, false) => Sync::None,
                },
                delete: self.delete,
                delete_max: self.delete_max,
                dry_run: self.dry_run,
                ..Terms::default()
            },
        })
    }
}

/// Flags of `receive`.
#[derive(Debug, Args)]
pub(crate) struct AllowedArguments {
    /// Take devices, pipes and sockets, where a copy has them
    #[arg(long, help_heading = TAKEN)]
    allow_specials: bool,
    /// Take setuid, setgid and sticky bits and capabilities, where a copy has them
    #[arg(long, help_heading = TAKEN)]
    allow_setuid: bool,
    /// Remove nothing, even where the sender says --delete; its report tells what stays
    #[arg(long, help_heading = TAKEN)]
    no_delete: bool,
}

impl AllowedArguments {
    /// What they allow.
    pub(crate) const fn allowed(&self) -> Allowed {
        Allowed {
            specials: self.allow_specials,
            powers: self.allow_setuid,
            keeps_others: self.no_delete,
        }
    }
}

/// `--include` and `--exclude` in the order in which they were typed, which clap keeps only by position.
#[derive(Clone, Debug, Default)]
struct FilterArguments {
    rules: Vec<Filter>,
}

const KINDS: [(&str, &str); 2] = [
    (
        "exclude",
        "Leave out what fits: *.o by name, sub/*.o by the end of the path, /tree/x by the whole path, \
         tmp/ directories only; of --exclude and --include the first that fits counts",
    ),
    ("include", "Send what fits, whatever a later --exclude says"),
];

impl Args for FilterArguments {
    fn augment_args(command: Command) -> Command {
        KINDS.iter().fold(command, |command, (name, help)| {
            let argument = Arg::new(*name)
                .long(*name)
                .value_name("GLOB")
                .value_parser(clap::value_parser!(OsString))
                .action(ArgAction::Append)
                .help_heading(SENT)
                .help(*help);
            command.arg(argument)
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for FilterArguments {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut typed: Vec<(usize, Filter)> = Vec::new();
        for (name, _) in KINDS {
            let places = matches.indices_of(name).into_iter().flatten();
            let globs = matches.get_many::<OsString>(name).into_iter().flatten();
            typed.extend(places.zip(globs).map(|(place, glob)| {
                let filter = Filter {
                    include: name == "include",
                    pattern: glob.clone().into_vec(),
                };
                (place, filter)
            }));
        }
        typed.sort_by_key(|(place, _)| *place);
        let rules = typed.into_iter().map(|(_, filter)| filter).collect();
        Ok(Self { rules })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        tree: TreeArguments,
    }

    #[test]
    fn of_include_and_exclude_the_first_that_was_typed_counts() {
        let typed = |line: &[&str]| {
            let line = Line::try_parse_from([&["send"], line].concat()).unwrap();
            let filters = line.tree.options().unwrap().filters;
            let rules = filters.typed().iter();
            rules
                .map(|rule| {
                    (
                        rule.include,
                        String::from_utf8(rule.pattern.clone()).unwrap(),
                    )
                })
                .collect::<Vec<_>>()
        };
        let line = [
            "--exclude=*.o",
            "--include",
            "a*",
            "--xattrs",
            "--exclude",
            "b",
        ];
        let rules = [(false, "*.o"), (true, "a*"), (false, "b")];
        assert_eq!(
            typed(&line),
            rules.map(|(include, glob)| (include, glob.to_owned()))
        );
        let line = [
            "--include=a*",
            "--exclude=b",
            "--exclude=*.o",
            "--include=c",
        ];
        let rules = [(true, "a*"), (false, "b"), (false, "*.o"), (true, "c")];
        assert_eq!(
            typed(&line),
            rules.map(|(include, glob)| (include, glob.to_owned()))
        );
    }
}
