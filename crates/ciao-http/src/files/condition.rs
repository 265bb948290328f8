//! Has the client this version of the file already?
//!
//! Source: RFC 9110 §8.8 (validators), §13.1.2, §13.1.3, §13.2.2 (If-None-Match comes before
//! If-Modified-Since).

use std::{
    fs::Metadata,
    time::{Duration, SystemTime},
};

use http::{HeaderMap, HeaderValue, header};

/// What tells one version of a file from another.
#[derive(Clone, Debug)]
pub(super) struct Validators {
    /// To the second, as the field has it.
    modified: Option<SystemTime>,
    tag: String,
}

/// Whether the file must be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    Send,
    NotModified,
}

impl Validators {
    pub(super) fn of(metadata: &Metadata) -> Validators {
        let since_epoch =
            metadata.modified().ok().and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok());
        let modified = since_epoch.map(|time| SystemTime::UNIX_EPOCH + Duration::from_secs(time.as_secs()));
        let nanos = since_epoch.map_or(0, |time| time.as_nanos());
        Validators { modified, tag: format!("\"{nanos:x}-{:x}\"", metadata.len()) }
    }

    pub(super) fn put(&self, headers: &mut HeaderMap) {
        let tag = HeaderValue::from_str(&self.tag).expect("hexadecimal digits in quotes are visible ASCII");
        headers.insert(header::ETAG, tag);
        if let Some(modified) = self.modified {
            let date = httpdate::fmt_http_date(modified);
            let date = HeaderValue::from_str(&date).expect("a date is visible ASCII");
            headers.insert(header::LAST_MODIFIED, date);
        }
    }

    /// Whether If-Range names this version, RFC 9110 §13.1.5.
    pub(super) fn is_named_by(&self, if_range: &HeaderValue) -> bool {
        let Ok(value) = if_range.to_str() else { return false };
        value == self.tag
            || (self.modified.is_some() && httpdate::parse_http_date(value).ok() == self.modified)
    }
}

pub(super) fn check(headers: &HeaderMap, validators: &Validators) -> Condition {
    let unchanged = if headers.contains_key(header::IF_NONE_MATCH) {
        let tags = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
        tags.flat_map(|value| value.split(',')).any(|tag| {
            let tag = tag.trim();
            tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == validators.tag
        })
    } else {
        let since = headers.get(header::IF_MODIFIED_SINCE).and_then(|value| value.to_str().ok());
        let since = since.and_then(|date| httpdate::parse_http_date(date).ok());
        matches!((validators.modified, since), (Some(modified), Some(since)) if modified <= since)
    };
    if unchanged { Condition::NotModified } else { Condition::Send }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_and_their_precedence() {
        let modified = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        let validators = Validators { modified: Some(modified), tag: "\"a-1\"".to_owned() };
        let same = "Sun, 06 Nov 1994 08:49:37 GMT";
        let before = "Sun, 06 Nov 1994 08:49:36 GMT";
        let cases: [(&[(header::HeaderName, &str)], Condition); 9] = [
            (&[], Condition::Send),
            (&[(header::IF_MODIFIED_SINCE, same)], Condition::NotModified),
            (&[(header::IF_MODIFIED_SINCE, before)], Condition::Send),
            (&[(header::IF_MODIFIED_SINCE, "yesterday")], Condition::Send),
            (&[(header::IF_NONE_MATCH, "\"a-1\"")], Condition::NotModified),
            (&[(header::IF_NONE_MATCH, "\"x\", W/\"a-1\"")], Condition::NotModified),
            (&[(header::IF_NONE_MATCH, "*")], Condition::NotModified),
            (&[(header::IF_NONE_MATCH, "\"x\""), (header::IF_MODIFIED_SINCE, same)], Condition::Send),
            (
                &[(header::IF_NONE_MATCH, "\"a-1\""), (header::IF_MODIFIED_SINCE, before)],
                Condition::NotModified,
            ),
        ];
        for (fields, expected) in cases {
            let headers: HeaderMap = fields
                .iter()
                .map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap()))
                .collect();
            assert_eq!(check(&headers, &validators), expected, "{fields:?}");
        }
    }
}
