//! Durations as documents write them: ISO 8601 (`PT1M30S`) or an object of whole units.

use std::time::Duration;

use crate::{
    Diagnostic,
    node::{Node, NodeValue},
};

/// The longest wait that is taken: a year.
const LONGEST_S: u64 = 366 * 24 * 3600;

const HELP: &str = "write ISO 8601 such as `PT30S`, or days, hours, minutes, seconds, milliseconds";

/// Reads a duration.
pub(crate) fn read(node: &Node) -> Result<Duration, Diagnostic> {
    let duration = match &node.value {
        NodeValue::Scalar(value) => value.as_str().and_then(iso_8601),
        NodeValue::Map(members) => from_units(members),
        NodeValue::List(_) => None,
    };
    duration
        .filter(|duration| duration.as_secs() <= LONGEST_S)
        .ok_or_else(|| node.finding("duration", "not a duration of at most a year", HELP))
}

fn from_units(members: &[(Node, Node)]) -> Option<Duration> {
    let mut total = Duration::ZERO;
    for (name, amount) in members {
        let NodeValue::Scalar(amount) = &amount.value else { return None };
        let amount = amount.as_u64()?;
        let unit = match name.as_str()? {
            "days" => Duration::from_hours(24),
            "hours" => Duration::from_hours(1),
            "minutes" => Duration::from_mins(1),
            "seconds" => Duration::from_secs(1),
            "milliseconds" => Duration::from_millis(1),
            _ => return None,
        };
        total = total.checked_add(unit.checked_mul(u32::try_from(amount).ok()?)?)?;
    }
    (!members.is_empty()).then_some(total)
}

fn iso_8601(text: &str) -> Option<Duration> {
    let (date, time) = match text.strip_prefix('P')?.split_once('T') {
        Some((_, "")) => return None,
        Some((date, time)) => (date, time),
        None => (text.strip_prefix('P')?, ""),
    };
    if date.is_empty() && time.is_empty() {
        return None;
    }
    let days = parts(date, &[('D', 24 * 3600)])?;
    let rest = parts(time, &[('H', 3600), ('M', 60), ('S', 1)])?;
    days.checked_add(rest)
}

/// Numbers each followed by a unit, in the order of `units`.
fn parts(mut text: &str, units: &[(char, u32)]) -> Option<Duration> {
    let mut total = Duration::ZERO;
    for (unit, seconds) in units {
        let Some((amount, rest)) = text.split_once(*unit) else { continue };
        let (whole, millis) = match amount.split_once('.') {
            Some((whole, fraction)) if *unit == 'S' && fraction.len() <= 3 => {
                (whole, format!("{fraction:0<3}").parse::<u64>().ok()?)
            }
            Some(_) => return None,
            None => (amount, 0),
        };
        let whole = Duration::from_secs(u64::from(*seconds)).checked_mul(whole.parse().ok()?)?;
        total = total.checked_add(whole)?.checked_add(Duration::from_millis(millis))?;
        text = rest;
    }
    text.is_empty().then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn iso_8601_is_read_in_its_order_and_no_other() {
        assert_eq!(iso_8601("PT1M30S"), Some(Duration::from_secs(90)));
        assert_eq!(iso_8601("P1DT1H"), Some(Duration::from_hours(25)));
        assert_eq!(iso_8601("PT0.25S"), Some(Duration::from_millis(250)));
        for bad in ["P", "PT", "1S", "PT1S1M", "PT-1S", "P1Y", "PT1.5M", ""] {
            assert_eq!(iso_8601(bad), None, "{bad}");
        }
    }
}
