//! The judgement: figures, their age and the thresholds in, the plugin's output out.
//!
//! Pure. The worst reason decides the state and stands in the first line. An answer that cannot be
//! told, or is too old, is UNKNOWN: no number is better than a wrong one.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

use crate::answer::{Figures, Understanding};
use crate::plugin::{Figure, Output, State, line, quoted};
use crate::range::Range;

/// A warning and a critical range for one figure.
#[derive(Clone, Debug, Default)]
pub struct Pair {
    /// Alarm as WARNING.
    pub warning: Option<Range>,
    /// Alarm as CRITICAL; looked at first.
    pub critical: Option<Range>,
}

/// All limits of a check.
#[derive(Clone, Debug, Default)]
pub struct Limits {
    /// Of the money.
    pub credit: Pair,
    /// Of the messages left.
    pub messages: Pair,
    /// Of the days until the credit or the number expires.
    pub days: Pair,
    /// An older answer is no answer, in seconds.
    pub age_seconds_max: Option<i64>,
    /// The price of a message, to say how many alarms the money is good for.
    pub price_per_message: Option<Decimal>,
}

/// What is known from earlier answers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Past {
    /// Whether earlier answers are kept at all.
    pub is_kept: bool,
    /// The days that the money lasts at the last month's use.
    pub days_left: Option<u64>,
    /// What the last day cost, where that is far more than usual.
    pub sudden_drop: Option<Decimal>,
}

/// An answer from further in the future than this, in seconds, has a wrong date, and so no age.
pub const CLOCK_SECONDS_MAX: i64 = 300;

/// Judges an answer that is `text`, understood as `meaning`, received at `received_unix`.
#[must_use]
pub fn judge(
    text: &str,
    meaning: &Understanding,
    received_unix: i64,
    now_unix: i64,
    limits: &Limits,
    past: Past,
) -> Output {
    let age_seconds = now_unix.saturating_sub(received_unix).max(0);
    let age = Figure {
        label: "age".into(),
        value: age_seconds.to_string(),
        unit: "s",
        warning: None,
        critical: None,
        least: Some("0"),
    };
    let asked = format!("asked {}", ago(age_seconds));
    let figures = match meaning {
        Understanding::Certain(figures, _) => figures,
        Understanding::Uncertain(reason) => {
            let summary = format!("{}: {} ({asked})", line(reason), quoted(text));
            return Output {
                state: State::Unknown,
                summary,
                details: Vec::new(),
                figures: vec![age],
            };
        }
    };
    if let Some(limit) = limits.age_seconds_max
        && age_seconds > limit
    {
        let summary = format!(
            "the last answer is too old: {} ({asked}, limit {})",
            quoted(text),
            span(limit)
        );
        return Output {
            state: State::Unknown,
            summary,
            details: Vec::new(),
            figures: vec![age],
        };
    }
    if now_unix.saturating_sub(received_unix) < -CLOCK_SECONDS_MAX {
        let summary = format!(
            "the last answer is dated {} in the future; was the clock set? The next answer mends it: {}",
            span(received_unix.saturating_sub(now_unix)),
            quoted(text)
        );
        return Output {
            state: State::Unknown,
            summary,
            details: Vec::new(),
            figures: vec![age],
        };
    }
    let mut verdict = Verdict {
        state: State::Ok,
        reasons: Vec::new(),
        figures: Vec::new(),
    };
    let today = day_of(now_unix);
    verdict.money(figures, limits);
    verdict.messages(figures, limits);
    verdict.days(figures, limits, today, past);
    if let Some(drop) = past.sudden_drop {
        verdict.worsen(
            State::Warning,
            format!("{drop} went in a day, far more than usual"),
        );
    }
    let mut parts = vec![described(figures, limits)];
    if let (Some(days), Some(_)) = (past.days_left, figures.amount) {
        parts[0].push_str(&format!(
            ", about {days} {} left",
            if days == 1 { "day" } else { "days" }
        ));
        verdict.compare(
            "days left at this use",
            "days_left".into(),
            Decimal::from(days),
            &limits.days,
            "",
            Some("0"),
        );
    }
    parts.push(format!("({asked})"));
    verdict.figures.push(age);
    let mut details = verdict.reasons;
    details.push(format!("the operator's answer: {}", quoted(text)));
    Output {
        state: verdict.state,
        summary: parts.join(" "),
        details,
        figures: verdict.figures,
    }
}

struct Verdict {
    state: State,
    reasons: Vec<String>,
    figures: Vec<Figure>,
}

impl Verdict {
    fn worsen(&mut self, state: State, reason: String) {
        self.state = self.state.max(state);
        self.reasons.push(format!("{state}: {reason}"));
    }

    fn compare(
        &mut self,
        name: &str,
        label: String,
        value: Decimal,
        pair: &Pair,
        unit: &'static str,
        least: Option<&'static str>,
    ) {
        let alarms =
            |range: &Option<Range>| range.as_ref().is_some_and(|range| range.alarms(value));
        if alarms(&pair.critical) {
            self.worsen(
                State::Critical,
                format!("{name} {value} is outside {}", written(&pair.critical)),
            );
        } else if alarms(&pair.warning) {
            self.worsen(
                State::Warning,
                format!("{name} {value} is outside {}", written(&pair.warning)),
            );
        }
        let text = |range: &Option<Range>| range.as_ref().map(ToString::to_string);
        self.figures.push(Figure {
            label,
            value: value.to_string(),
            unit,
            warning: text(&pair.warning),
            critical: text(&pair.critical),
            least,
        });
    }

    fn missing(&mut self, name: &str, pair: &Pair) {
        if pair.warning.is_some() || pair.critical.is_some() {
            self.worsen_unknown(format!(
                "the answer names no {name}, but there is a limit for it"
            ));
        }
    }

    /// No statement can be made on one figure; an alarm on another stays an alarm.
    fn worsen_unknown(&mut self, reason: String) {
        self.state = self.state.max(State::Unknown);
        self.reasons.push(format!("{}: {reason}", State::Unknown));
    }

    fn money(&mut self, figures: &Figures, limits: &Limits) {
        let Some(amount) = figures.amount else {
            self.missing("amount of money", &limits.credit);
            return;
        };
        let label = match &figures.currency {
            Some(currency) => format!("credit_{}", currency.to_lowercase()),
            None => "credit".into(),
        };
        self.compare("credit", label, amount, &limits.credit, "", None);
        if let Some(count) = alarms_left(amount, limits) {
            self.figures.push(Figure {
                label: "alarms_left".into(),
                value: count.to_string(),
                unit: "",
                warning: None,
                critical: None,
                least: Some("0"),
            });
        }
    }

    fn messages(&mut self, figures: &Figures, limits: &Limits) {
        match figures.sms {
            Some(count) => self.compare(
                "messages left",
                "sms".into(),
                Decimal::from(count),
                &limits.messages,
                "",
                Some("0"),
            ),
            None => self.missing("messages left", &limits.messages),
        }
    }

    fn days(&mut self, figures: &Figures, limits: &Limits, today: jiff::civil::Date, past: Past) {
        let Some(expiry) = figures.expiry else {
            // A forecast stands for it; one that cannot be made yet is no fault of the answer.
            if !past.is_kept {
                self.missing("expiry", &limits.days);
            }
            return;
        };
        let days = today
            .until(expiry)
            .map_or(0, |span| i64::from(span.get_days()));
        self.compare(
            "days until expiry",
            "expiry_days".into(),
            Decimal::from(days),
            &limits.days,
            "",
            None,
        );
        if days < 0 {
            self.worsen(State::Critical, format!("expired on {expiry}"));
        }
    }
}

/// How many messages the money is good for.
fn alarms_left(amount: Decimal, limits: &Limits) -> Option<u64> {
    let price = limits
        .price_per_message
        .filter(|price| *price > Decimal::ZERO)?;
    amount
        .max(Decimal::ZERO)
        .checked_div(price)?
        .trunc()
        .to_u64()
}

fn described(figures: &Figures, limits: &Limits) -> String {
    let mut parts = Vec::new();
    if let Some(amount) = figures.amount {
        let currency = figures
            .currency
            .as_deref()
            .map(|code| format!("{code} "))
            .unwrap_or_default();
        let expiry = figures
            .expiry
            .map(|day| format!(" until {day}"))
            .unwrap_or_default();
        parts.push(format!("{currency}{amount}{expiry}"));
        if let Some(count) = alarms_left(amount, limits) {
            parts.push(format!("good for {count} SMS"));
        }
    }
    if let Some(count) = figures.sms {
        let expiry = figures
            .sms_expiry
            .map(|day| format!(" until {day}"))
            .unwrap_or_default();
        parts.push(format!("{count} SMS{expiry}"));
    }
    if let Some(data) = figures.data_kb {
        parts.push(format!("{data} kB of data"));
    }
    if let Some(minutes) = figures.minutes {
        parts.push(format!("{minutes} min"));
    }
    parts.join(", ")
}

fn written(range: &Option<Range>) -> String {
    range.as_ref().map(ToString::to_string).unwrap_or_default()
}

fn day_of(unix: i64) -> jiff::civil::Date {
    Timestamp::from_second(unix)
        .unwrap_or(Timestamp::UNIX_EPOCH)
        .to_zoned(TimeZone::system())
        .date()
}

fn ago(seconds: i64) -> String {
    if seconds < 60 {
        "just now".into()
    } else {
        format!("{} ago", span(seconds))
    }
}

/// A length of time in its largest unit.
fn span(seconds: i64) -> String {
    const LARGEST: [(i64, i64, &str); 3] = [
        (172_800, 86_400, "days"),
        (7_200, 3_600, "h"),
        (60, 60, "min"),
    ];
    for (from, unit, name) in LARGEST {
        if seconds >= from {
            return format!("{} {name}", seconds / unit);
        }
    }
    format!("{seconds} s")
}

#[cfg(test)]
mod tests {
    use super::{Limits, Pair, Past, judge};
    use crate::answer::{Options, understand};
    use crate::plugin::{Output, State};

    const TEXT: &str = "Credit actuel: CHF -0,44; 25 SMS gratuits jusqu'au 01.10.2009";

    fn pair(warning: &str, critical: &str) -> Pair {
        Pair {
            warning: Some(warning.parse().unwrap()),
            critical: Some(critical.parse().unwrap()),
        }
    }

    fn judged(text: &str, limits: &Limits, age: i64) -> Output {
        let meaning = understand(text, true, &Options::default());
        judge(
            text,
            &meaning,
            1_254_000_000 - age,
            1_254_000_000,
            limits,
            Past::default(),
        )
    }

    #[test]
    fn the_worst_figure_decides() {
        let limits = Limits {
            credit: pair("5:", "2:"),
            messages: pair("10:", "5:"),
            ..Limits::default()
        };
        let output = judged(TEXT, &limits, 10_800);
        assert_eq!(output.state, State::Critical);
        assert_eq!(
            output.to_string().lines().next().unwrap(),
            "SIM CREDIT CRITICAL - CHF -0.44, 25 SMS until 2009-10-01 (asked 3 h ago) | credit_chf=-0.44;5:;2: sms=25;10:;5:;0 age=10800s;;;0"
        );
    }

    #[test]
    fn an_uncertain_or_old_answer_is_unknown() {
        assert_eq!(
            judged("Service down, try again later", &Limits::default(), 0).state,
            State::Unknown
        );
        let limits = Limits {
            age_seconds_max: Some(7_200),
            ..Limits::default()
        };
        assert_eq!(judged(TEXT, &limits, 7_200).state, State::Ok);
        let output = judged(TEXT, &limits, 7_201);
        assert_eq!(output.state, State::Unknown);
        assert!(
            !output.to_string().contains("credit_chf"),
            "an old figure is not graphed as today's"
        );
    }

    #[test]
    fn a_limit_on_a_figure_that_is_not_there_is_unknown_but_an_alarm_stays_one() {
        let limits = Limits {
            messages: pair("10:", "5:"),
            ..Limits::default()
        };
        assert_eq!(
            judged("Balance: 5.00 EUR", &limits, 0).state,
            State::Unknown
        );
        let limits = Limits {
            credit: pair("10:", "1:"),
            ..limits
        };
        assert_eq!(
            judged("Balance: 5.00 EUR", &limits, 0).state,
            State::Warning
        );
    }

    #[test]
    fn an_answer_from_the_future_has_no_age() {
        assert_eq!(judged(TEXT, &Limits::default(), -60).state, State::Ok);
        assert_eq!(
            judged(TEXT, &Limits::default(), -86_400).state,
            State::Unknown
        );
    }

    #[test]
    fn the_forecast_is_held_to_the_limit_of_days() {
        let limits = Limits {
            days: pair("14:", "3:"),
            ..Limits::default()
        };
        let text = "Balance: 5.00 EUR";
        let meaning = understand(text, true, &Options::default());
        let state = |days_left| {
            let past = Past {
                is_kept: true,
                days_left,
                sudden_drop: None,
            };
            judge(text, &meaning, 1_254_000_000, 1_254_000_000, &limits, past).state
        };
        assert_eq!(state(Some(20)), State::Ok);
        assert_eq!(state(Some(9)), State::Warning);
        assert_eq!(state(Some(2)), State::Critical);
        assert_eq!(state(None), State::Ok);
    }

    #[test]
    fn days_and_prices_are_counted() {
        let limits = Limits {
            days: pair("30:", "7:"),
            price_per_message: Some("0.15".parse().unwrap()),
            ..Limits::default()
        };
        // 2009-09-26 UTC.
        let output = judged("Balance: 5.00 EUR valid until 30.09.2009", &limits, 0);
        assert_eq!(output.state, State::Critical);
        assert!(output.to_string().contains("good for 33 SMS"), "{output}");
    }
}
