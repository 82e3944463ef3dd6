//! The check that a monitoring server runs: on a stored answer, or asking now.

use std::path::PathBuf;

use check_sim_credit::answer::{Understanding, understand};
use check_sim_credit::history::{Entry, History};
use check_sim_credit::judge::{CLOCK_SECONDS_MAX, Limits, Pair, Past, judge};
use check_sim_credit::plugin::{self, Output, State};
use check_sim_credit::range::Range;
use check_sim_credit::store::Answer;
use check_sim_credit::ussd;
use clap::{Args, ValueEnum};
use rust_decimal::Decimal;

use super::asking::{self, Asking, Unasked, Way};
use super::{Operator, Said, UNKNOWN, now_unix};

/// Flags of the check.
#[derive(Args)]
pub(super) struct Flags {
    /// The answer that "ussd-event" stored.
    #[arg(long, value_name = "FILE", required_unless_present_any = ["device", "mmcli"])]
    state: Option<PathBuf>,
    /// Ask now, on this port, which nobody else has; --state keeps the answer.
    #[arg(long, value_name = "DEV")]
    device: Option<PathBuf>,
    /// Ask now, through ModemManager: its modem's number, or any.
    #[arg(long, value_name = "MODEM", num_args = 0..=1, default_missing_value = "any", conflicts_with = "device")]
    mmcli: Option<String>,
    #[command(flatten)]
    asking: Asking,
    /// WARNING where the money is outside this range.
    #[arg(
        short,
        long,
        value_name = "RANGE",
        allow_hyphen_values = true,
        alias = "warning-credit"
    )]
    warning: Option<Range>,
    /// CRITICAL where the money is outside this range.
    #[arg(
        short,
        long,
        value_name = "RANGE",
        allow_hyphen_values = true,
        alias = "critical-credit"
    )]
    critical: Option<Range>,
    /// WARNING where the messages left are outside this range.
    #[arg(long, value_name = "RANGE", allow_hyphen_values = true)]
    warning_sms: Option<Range>,
    /// CRITICAL where the messages left are outside this range.
    #[arg(long, value_name = "RANGE", allow_hyphen_values = true)]
    critical_sms: Option<Range>,
    /// WARNING where the days until expiry, or those of the forecast, are outside this range.
    #[arg(long, value_name = "RANGE", allow_hyphen_values = true)]
    warning_days: Option<Range>,
    /// CRITICAL where the days until expiry, or those of the forecast, are outside this range.
    #[arg(long, value_name = "RANGE", allow_hyphen_values = true)]
    critical_days: Option<Range>,
    /// An older answer is UNKNOWN: a number with s, m, h or d.
    #[arg(long, value_name = "TIME", default_value = "2h", value_parser = seconds)]
    max_age: i64,
    /// A file that keeps a figure a day, for the forecast.
    #[arg(long, value_name = "FILE")]
    history: Option<PathBuf>,
    /// The price of a message, to say how many alarms the money is good for.
    #[arg(long, value_name = "PRICE")]
    price_per_sms: Option<Decimal>,
    /// How to print.
    #[arg(long, value_enum, default_value = "plugin")]
    format: Format,
    /// How the answer was decoded and read; repeat for the bytes.
    #[arg(short, long, action = clap::ArgAction::Count)]
    verbose: u8,
    #[command(flatten)]
    operator: Operator,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    /// For Nagios, Naemon, Icinga.
    Plugin,
    /// A textfile for the collector of node_exporter.
    Prometheus,
}

/// Judges the stored answer.
pub(super) fn run(flags: &Flags) -> Result<Said, String> {
    let options = flags.operator.options()?;
    let answer = match fetched(flags) {
        Ok(answer) => answer,
        Err(unasked) => return Ok(without_answer(flags, &unasked)),
    };
    let now = now_unix();
    let raw = answer.raw();
    let (decoded, meaning) = match ussd::best_answer(&raw) {
        Ok((_, decoded)) => {
            let meaning = understand(&decoded.text, decoded.terminated, &options);
            (Some(decoded), meaning)
        }
        Err(error) => (None, Understanding::Uncertain(error.to_string())),
    };
    let text = decoded.as_ref().map_or_else(
        || String::from_utf8_lossy(&raw).into_owned(),
        |decoded| decoded.text.clone(),
    );
    let mut notes = Vec::new();
    let past = past(flags, &meaning, answer.received_unix, now).unwrap_or_else(|error| {
        notes.push(plugin::line(&format!("history: {error}")));
        Past::default()
    });
    let mut output = judge(
        &text,
        &meaning,
        answer.received_unix,
        now,
        &limits(flags),
        past,
    );
    output.details.extend(notes);
    if flags.verbose > 0 {
        if let Some(decoded) = &decoded {
            output
                .details
                .push(format!("decoded as {}", decoded.coding));
        }
        if let Understanding::Certain(_, how) = &meaning {
            output.details.push(plugin::line(&format!("read by {how}")));
        }
    }
    if flags.verbose > 1 {
        output.details.push(format!(
            "bytes: {}",
            plugin::quoted(&raw.escape_ascii().to_string())
        ));
    }
    Ok(said(flags.format, &output))
}

/// The stored answer, or one asked for now.
fn fetched(flags: &Flags) -> Result<Answer, Unasked> {
    let unknown = |message: String| Unasked {
        message,
        code: UNKNOWN,
    };
    let way = match (&flags.device, &flags.mmcli) {
        (Some(device), _) => Way::Device(device.clone()),
        (None, Some(modem)) => Way::Manager(modem.clone()),
        (None, None) => {
            let path = flags.state.as_ref().ok_or("--state FILE is missing");
            let path = path.map_err(|message| unknown(message.into()))?;
            return Answer::load(path).map_err(|error| unknown(error.to_string()));
        }
    };
    let answer = asking::answer(&flags.asking, &way)?;
    if let Some(path) = &flags.state {
        answer
            .save(path)
            .map_err(|error| unknown(error.to_string()))?;
    }
    Ok(answer)
}

/// What is said where there is no answer to judge.
fn without_answer(flags: &Flags, unasked: &Unasked) -> Said {
    let state = match unasked.code {
        1 => State::Warning,
        2 => State::Critical,
        _ => State::Unknown,
    };
    let output = Output {
        state,
        summary: plugin::line(&unasked.message),
        details: Vec::new(),
        figures: Vec::new(),
    };
    said(flags.format, &output)
}

fn said(format: Format, output: &Output) -> Said {
    match format {
        Format::Plugin => Said {
            text: output.to_string(),
            code: output.state.code(),
        },
        Format::Prometheus => Said {
            text: plugin::prometheus(output).trim_end().to_owned(),
            code: State::Ok.code(),
        },
    }
}

fn limits(flags: &Flags) -> Limits {
    let pair = |warning: &Option<Range>, critical: &Option<Range>| Pair {
        warning: warning.clone(),
        critical: critical.clone(),
    };
    Limits {
        credit: pair(&flags.warning, &flags.critical),
        messages: pair(&flags.warning_sms, &flags.critical_sms),
        days: pair(&flags.warning_days, &flags.critical_days),
        age_seconds_max: Some(flags.max_age),
        price_per_message: flags.price_per_sms,
    }
}

/// Notes today's amount in the history and looks back. An answer with a wrong date is not noted: it
/// would stand behind all that come.
fn past(
    flags: &Flags,
    meaning: &Understanding,
    time_unix: i64,
    now_unix: i64,
) -> Result<Past, String> {
    let (Some(path), Understanding::Certain(figures, _)) = (&flags.history, meaning) else {
        return Ok(Past::default());
    };
    let Some(amount) = figures.amount else {
        return Ok(Past::default());
    };
    let latest_unix = now_unix.saturating_add(CLOCK_SECONDS_MAX);
    if time_unix > latest_unix {
        return Ok(Past::default());
    }
    let mut history = History::load(path, latest_unix).map_err(|error| error.to_string())?;
    let currency = figures.currency.clone().unwrap_or_else(|| "-".into());
    if history.note(Entry {
        time_unix,
        currency,
        amount,
    }) {
        history.save(path).map_err(|error| error.to_string())?;
    }
    Ok(Past {
        is_kept: true,
        days_left: history.days_left(amount),
        sudden_drop: history.sudden_drop(),
    })
}

/// `90`, `90s`, `45m`, `2h`, `1d` in seconds.
pub(super) fn seconds(written: &str) -> Result<i64, String> {
    let (digits, unit) = match written
        .char_indices()
        .find(|(_, character)| !character.is_ascii_digit())
    {
        Some((at, _)) => written.split_at(at),
        None => (written, "s"),
    };
    let factor = match unit {
        "s" => 1,
        "m" | "min" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => {
            return Err(format!(
                "'{written}' is no time: a number with s, m, h or d"
            ));
        }
    };
    let number: i64 = digits
        .parse()
        .map_err(|_| format!("'{written}' is no time: a number with s, m, h or d"))?;
    number
        .checked_mul(factor)
        .ok_or_else(|| format!("'{written}' is too long"))
}
