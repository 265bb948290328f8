//! Why bytes are not a header: [`ParseError`].
//!
//! Each parser is total: any bytes give a header or one of these, never a panic and never a loop without a
//! bound.

use core::fmt;

/// Why bytes are not a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ParseError {
    /// The bytes end before the header does.
    Truncated,
    /// The version field is not the one of this parser, or neither 4 nor 6.
    Version,
    /// The header's own length field is below the shortest header.
    HeaderLength,
    /// The length field of the packet is below the length of its header.
    TotalLength,
    /// The checksum that the header has of itself is wrong.
    Checksum,
    /// An option says a length that cannot be: below the shortest, or beyond the header.
    OptionLength,
    /// More extension headers, or options in one of them, than we follow.
    TooManyExtensions,
    /// IPv6: an extension header or option that we do not know and that must not be passed over.
    UnknownExtension,
    /// A fragment whose last byte would lie beyond the longest packet.
    FragmentRange,
}

impl ParseError {
    /// A short name for counters and traces.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Truncated => "truncated",
            Self::Version => "version",
            Self::HeaderLength => "header-length",
            Self::TotalLength => "total-length",
            Self::Checksum => "checksum",
            Self::OptionLength => "option-length",
            Self::TooManyExtensions => "too-many-extensions",
            Self::UnknownExtension => "unknown-extension",
            Self::FragmentRange => "fragment-range",
        }
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Truncated => "the bytes end before the header does",
            Self::Version => "wrong IP version",
            Self::HeaderLength => "the header length is below the shortest header",
            Self::TotalLength => "the packet length is below the header length",
            Self::Checksum => "wrong header checksum",
            Self::OptionLength => "impossible option length",
            Self::TooManyExtensions => "too many extension headers or options",
            Self::UnknownExtension => "an unknown extension header or option that must not be passed over",
            Self::FragmentRange => "a fragment beyond the longest packet",
        })
    }
}

impl core::error::Error for ParseError {}
