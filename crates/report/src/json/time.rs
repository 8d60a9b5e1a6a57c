//! When was it, as RFC 3339?

/// `2024-02-29T12:34:56.500Z`; nothing for a time that was not noted.
#[expect(clippy::cast_possible_truncation, reason = "milliseconds since 1970 fit for ages")]
pub(super) fn rfc3339(unix_s: f64) -> Option<String> {
    if !unix_s.is_finite() || unix_s <= 0.0 {
        return None;
    }
    let ms = (unix_s * 1000.0).round() as i64;
    let (days, ms) = (ms.div_euclid(86_400_000), ms.rem_euclid(86_400_000));
    let (year, month, day) = civil(days);
    let (hour, minute) = (ms / 3_600_000, ms / 60_000 % 60);
    let (second, ms) = (ms / 1000 % 60, ms % 1000);
    Some(format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z"))
}

/// Year, month and day of a day counted from 1970-01-01, in the Gregorian calendar.
///
/// Years are counted from March, so that the leap day is the last day of a year, and in eras of
/// 400 years, which all have 146,097 days.
fn civil(days: i64) -> (i64, i64, i64) {
    // From 0000-03-01.
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let leap_days = day_of_era / 1_460 - day_of_era / 36_524 + day_of_era / 146_096;
    let year_of_era = (day_of_era - leap_days) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // Months from March have 31, 30, 31, 30, 31 days and again: 153 days each five months.
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::{civil, rfc3339};

    #[test]
    fn leap_days_and_ends_of_years_are_where_the_calendar_has_them() {
        let known = [
            (0, (1970, 1, 1)),
            (59, (1970, 3, 1)),
            (11_016, (2000, 2, 29)),
            (11_017, (2000, 3, 1)),
            (19_722, (2023, 12, 31)),
            (19_723, (2024, 1, 1)),
            (19_782, (2024, 2, 29)),
            (47_540, (2100, 2, 28)),
            (47_541, (2100, 3, 1)),
        ];
        for (days, date) in known {
            assert_eq!(civil(days), date, "day {days}");
        }
    }

    #[test]
    fn a_time_is_said_in_utc() {
        assert_eq!(rfc3339(1_709_210_096.5).as_deref(), Some("2024-02-29T12:34:56.500Z"));
        assert_eq!(rfc3339(0.0), None);
    }
}
