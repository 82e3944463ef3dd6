//! `check-notice reply`: a short answer that lists exactly which fields are missing. Sends nothing.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::{CommandError, Common, error, input, now, print};
use check_notice::evidence::{self, Missing};
use check_notice::extract;
use check_notice::records::Records;
use check_notice::signs::printable;

/// Write a short answer that asks for the missing fields.
///
/// It goes to standard output, without an address: whom to write to is your decision.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The mail, or - for standard input.
    file: PathBuf,
    #[command(flatten)]
    common: Common,
}

/// Runs the command.
pub(super) fn run(arguments: &Arguments) -> Result<ExitCode, CommandError> {
    let config = arguments.common.config()?;
    let network = config.network(None);
    let mut code = 0;
    input::each_mail(&arguments.file, &mut |item| {
        let mail = item.mail?;
        let claims = extract::claims(&mail);
        let mut missing: Vec<Missing> = claims
            .iter()
            .flat_map(|claim| evidence::judge(claim, &Records::default(), &network, now()))
            .flat_map(|finding| finding.missing)
            .collect();
        if claims.is_empty() {
            missing = vec![Missing::Address, Missing::Time, Missing::SourcePort];
            code = error::NO_COMPLAINT;
        }
        missing.sort_unstable();
        missing.dedup();
        let case = claims
            .iter()
            .find_map(|claim| claim.case.as_ref())
            .map_or(String::new(), |c| format!(" {}", printable(&c.value)));
        print(&letter(&case, &missing));
        Ok(())
    })?;
    Ok(ExitCode::from(code))
}

fn letter(case: &str, missing: &[Missing]) -> String {
    if missing.is_empty() {
        return format!("Your report{case} names every field that is needed to check it.\n");
    }
    let mut text =
        format!("We cannot check your report{case} without these fields (see RFC 6302):\n\n");
    for field in missing {
        let explained = match field {
            Missing::Address => "source address",
            Missing::Time => "date and time of the event",
            Missing::SourcePort => "source port: several people may share an address",
            Missing::Zone => "time zone of the time stated",
            Missing::ClockAccuracy => "time to the second, and how the clock is kept right (NTP)",
            Missing::Protocol => "transport protocol, TCP or UDP",
            Missing::Peer => "address and port of the other end",
            Missing::OwnRecords => continue,
        };
        text.push_str(&format!("- {explained}\n"));
    }
    text.push_str("\nNobody has been identified. Logs are kept for a limited time.\n");
    text
}
