//! Which requests must be refused that hyper would hand to the service?
//!
//! Source: RFC 9112 §3.2 (Host), RFC 9113 §8.3.1 (`:authority` and Host), RFC 1945 §7.2.2 (length of a
//! request body). hyper itself answers malformed lines and fields (400), too many fields (431) and too long
//! a target (414); it also chooses Transfer-Encoding over Content-Length and closes afterwards.

use http::{HeaderMap, Method, Request, Version, header, uri::Authority};

/// Why a request is answered 400 at once. Its name is the body of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    HostMissing,
    HostRepeated,
    HostInvalid,
    HostDiffers,
    LengthMissing,
}

impl Refusal {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Refusal::HostMissing => "the Host field is missing\n",
            Refusal::HostRepeated => "a request must not have two Host fields\n",
            Refusal::HostInvalid => "the Host field is not a host\n",
            Refusal::HostDiffers => "the Host field differs from :authority\n",
            Refusal::LengthMissing => "a request with a body must have a Content-Length\n",
        }
    }
}

/// The rule that the request breaks, if any.
pub(crate) fn refusal<B>(request: &Request<B>) -> Option<Refusal> {
    host_refusal(request).or_else(|| length_refusal(request))
}

// RFC 9112 §3.2 9112-3.2
fn host_refusal<B>(request: &Request<B>) -> Option<Refusal> {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let host = hosts.next();
    if hosts.next().is_some() {
        return Some(Refusal::HostRepeated);
    }
    let Some(host) = host else {
        return (request.version() == Version::HTTP_11).then_some(Refusal::HostMissing);
    };
    if !is_host(host.as_bytes()) {
        return Some(Refusal::HostInvalid);
    }
    match request.uri().authority() {
        Some(authority)
            if request.version() == Version::HTTP_2
                && !authority.as_str().as_bytes().eq_ignore_ascii_case(host.as_bytes()) =>
        {
            Some(Refusal::HostDiffers)
        }
        _ => None,
    }
}

/// `host [":" port]` of RFC 3986. Empty is allowed: it is what a client sends whose target has no authority.
fn is_host(value: &[u8]) -> bool {
    value.is_empty() || (!value.contains(&b'@') && Authority::try_from(value).is_ok())
}

// RFC 1945 §7.2.2 1945-7.2.2
fn length_refusal<B>(request: &Request<B>) -> Option<Refusal> {
    let with_body = matches!(*request.method(), Method::POST | Method::PUT | Method::PATCH);
    let missing = request.version() == Version::HTTP_10 && with_body && !has_length(request.headers());
    missing.then_some(Refusal::LengthMissing)
}

fn has_length(headers: &HeaderMap) -> bool {
    headers.contains_key(header::CONTENT_LENGTH)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(version: Version, target: &str, hosts: &[&str]) -> Request<()> {
        let mut builder = Request::builder().version(version).uri(target);
        for host in hosts {
            builder = builder.header(header::HOST, *host);
        }
        builder.body(()).unwrap()
    }

    // RFC 9112 §3.2 9112-3.2
    #[test]
    fn host_rules_by_version() {
        let cases: [(Version, &str, &[&str], Option<Refusal>); 14] = [
            (Version::HTTP_11, "/", &[], Some(Refusal::HostMissing)),
            (Version::HTTP_11, "http://a/", &[], Some(Refusal::HostMissing)),
            (Version::HTTP_11, "/", &["a", "a"], Some(Refusal::HostRepeated)),
            (Version::HTTP_11, "/", &["a b"], Some(Refusal::HostInvalid)),
            (Version::HTTP_11, "/", &["a/b"], Some(Refusal::HostInvalid)),
            (Version::HTTP_11, "/", &["user@a"], Some(Refusal::HostInvalid)),
            (Version::HTTP_11, "/", &["a, b"], Some(Refusal::HostInvalid)),
            (Version::HTTP_11, "/", &[""], None),
            (Version::HTTP_11, "/", &["10.77.0.2:80"], None),
            (Version::HTTP_11, "/", &["[fd00::1]:80"], None),
            (Version::HTTP_10, "/", &[], None),
            (Version::HTTP_10, "/", &["a", "b"], Some(Refusal::HostRepeated)),
            (Version::HTTP_2, "http://a/", &["b"], Some(Refusal::HostDiffers)),
            (Version::HTTP_2, "http://a/", &["A"], None),
        ];
        for (version, target, hosts, expected) in cases {
            assert_eq!(refusal(&request(version, target, hosts)), expected, "{version:?} {target} {hosts:?}");
        }
    }

    // RFC 1945 §7.2.2 1945-7.2.2
    #[test]
    fn http10_body_needs_a_length() {
        for (version, length, expected) in [
            (Version::HTTP_10, None, Some(Refusal::LengthMissing)),
            (Version::HTTP_10, Some("0"), None),
            (Version::HTTP_11, None, None),
        ] {
            let mut request = request(version, "/", &["a"]);
            *request.method_mut() = Method::POST;
            if let Some(length) = length {
                request.headers_mut().insert(header::CONTENT_LENGTH, length.parse().unwrap());
            }
            assert_eq!(refusal(&request), expected);
        }
    }
}
