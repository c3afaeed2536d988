//! Files of the form that `java.util.Properties` reads, as Kafka's `server.properties` is.
//!
//! A line is `key=value`, `key: value` or `key value`; lines that begin with `#` or `!` are
//! comments; a backslash at the end goes on with the next line; `\t \n \r \f \\ \uXXXX` and a
//! backslash before any other character are understood. Unlike Java, the file is UTF-8.

use std::iter::Peekable;
use std::str::Chars;

/// What is wrong with such a file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PropertiesError {
    /// `\u` without four hexadecimal digits, or half of a surrogate pair.
    #[error("\\u must be followed by four hexadecimal digits of a character line={line}")]
    Unicode {
        /// From 1.
        line: usize,
    },
    /// A value without a key.
    #[error("a line needs a key before the separator line={line}")]
    NoKey {
        /// From 1.
        line: usize,
    },
}

/// The pairs of a file in their order, each with the line it begins on.
///
/// # Errors
/// [`PropertiesError`]; everything else is some pair.
pub(super) fn parse(text: &str) -> Result<Vec<(String, String, usize)>, PropertiesError> {
    let mut pairs = Vec::new();
    for (line, text) in logical_lines(text) {
        let mut chars = text.chars().peekable();
        let key = unescape(&mut chars, is_separator).ok_or(PropertiesError::Unicode { line })?;
        skip_blanks(&mut chars);
        if chars.next_if(|c| matches!(c, '=' | ':')).is_some() {
            skip_blanks(&mut chars);
        }
        let value = unescape(&mut chars, |_| false).ok_or(PropertiesError::Unicode { line })?;
        if key.is_empty() {
            return Err(PropertiesError::NoKey { line });
        }
        pairs.push((key, value, line));
    }
    Ok(pairs)
}

/// Lines that are neither blank nor comments, those that go on joined, with their numbers.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    let mut goes_on = false;
    for (index, line) in text.lines().enumerate() {
        let line = line.trim_start_matches(is_blank);
        if !goes_on && (line.is_empty() || line.starts_with(['#', '!'])) {
            continue;
        }
        let backslashes = line.len() - line.trim_end_matches('\\').len();
        let ends_open = backslashes % 2 == 1;
        let part = if ends_open {
            &line[..line.len() - 1]
        } else {
            line
        };
        match lines.last_mut() {
            Some((_, begun)) if goes_on => begun.push_str(part),
            _ => lines.push((index + 1, part.to_owned())),
        }
        goes_on = ends_open;
    }
    lines
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\u{c}')
}

fn is_separator(c: char) -> bool {
    is_blank(c) || matches!(c, '=' | ':')
}

fn skip_blanks(chars: &mut Peekable<Chars<'_>>) {
    while chars.next_if(|c| is_blank(*c)).is_some() {}
}

fn unescape(chars: &mut Peekable<Chars<'_>>, ends: impl Fn(char) -> bool) -> Option<String> {
    let mut text = String::new();
    while let Some(c) = chars.next_if(|c| !ends(*c)) {
        if c != '\\' {
            text.push(c);
            continue;
        }
        match chars.next() {
            Some('t') => text.push('\t'),
            Some('n') => text.push('\n'),
            Some('r') => text.push('\r'),
            Some('f') => text.push('\u{c}'),
            Some('u') => text.push(unicode(chars)?),
            Some(other) => text.push(other),
            None => {}
        }
    }
    Some(text)
}

/// The character after `\u`; outside the basic plane it is written as two, as Java does.
fn unicode(chars: &mut Peekable<Chars<'_>>) -> Option<char> {
    let mut units = vec![unit(chars)?];
    if (0xd800..0xdc00).contains(&units[0]) {
        (chars.next()? == '\\' && chars.next()? == 'u').then_some(())?;
        units.push(unit(chars)?);
    }
    char::decode_utf16(units).next()?.ok()
}

fn unit(chars: &mut Peekable<Chars<'_>>) -> Option<u16> {
    let mut unit = 0;
    for _ in 0..4 {
        unit = unit << 4 | u16::try_from(chars.next()?.to_digit(16)?).ok()?;
    }
    Some(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[(&str, &str)]) {
        let pairs = parse(text).expect(text);
        let pairs: Vec<_> = pairs
            .iter()
            .map(|(k, v, _)| (k.as_str(), v.as_str()))
            .collect();
        assert_eq!(pairs, expected, "{text:?}");
    }

    #[test]
    fn pairs_are_separated_as_java_does_it() {
        check(
            "a=1\nb: 2\nc 3\nd\t=\t4\n",
            &[("a", "1"), ("b", "2"), ("c", "3"), ("d", "4")],
        );
        check("a==1\nb = x=y:z \n", &[("a", "=1"), ("b", "x=y:z ")]);
        check("alone\nempty=\n", &[("alone", ""), ("empty", "")]);
        check("a=1\r\nb=2\r\n", &[("a", "1"), ("b", "2")]);
    }

    #[test]
    fn comments_and_blank_lines_are_nothing() {
        check(
            "# a=1\n  ! b=2\n\n \t\n  c=3 # no comment",
            &[("c", "3 # no comment")],
        );
    }

    #[test]
    fn a_backslash_at_the_end_goes_on_with_the_next_line() {
        check("a=1,\\\n   2,\\\n\t3\nb=4", &[("a", "1,2,3"), ("b", "4")]);
        check("a=1\\\\\nb=2", &[("a", "1\\"), ("b", "2")]);
        check(
            "a=1\\\n# part of the value\n",
            &[("a", "1# part of the value")],
        );
        check("a=1\\", &[("a", "1")]);
    }

    #[test]
    fn escapes_stand_for_characters() {
        check(r"a\ b\:c=\u00e4\t\q", &[("a b:c", "ä\tq")]);
        check(r"a=\ud83d\ude00", &[("a", "😀")]);
        for bad in [r"a=\u12", r"a=\u12g4", r"a=\ud83d", r"a=\ud83d\u0041"] {
            assert_eq!(
                parse(bad),
                Err(PropertiesError::Unicode { line: 1 }),
                "{bad}"
            );
        }
    }

    #[test]
    fn a_line_is_named_by_its_number() {
        assert_eq!(parse("\n# x\n=1"), Err(PropertiesError::NoKey { line: 3 }));
    }
}
