//! How are the arguments of a call written? [`Value`]: C with names, as strace prints it.

use core::fmt;

/// One argument, or a part of one.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `...`: whatever suits.
    Default,
    /// `17`, `0x11`, `-1`
    Number(i64),
    /// `POLLIN|POLLOUT`, `NULL`, `SOL_TCP`
    Names(Vec<String>),
    /// `"text"`
    Text(String),
    /// `[a, b]`
    List(Vec<Value>),
    /// `{a=1, b=2}`, `{1, 2}`
    Struct(Vec<(String, Value)>),
    /// `htons(8080)`
    Call(String, Vec<Value>),
}

impl Value {
    /// The number that this is.
    ///
    /// # Errors
    /// When it is none.
    pub fn number(&self) -> Result<i64, String> {
        match self {
            Self::Number(number) => Ok(*number),
            Self::Call(name, arguments) if name == "htons" || name == "htonl" => match &arguments[..] {
                [argument] => argument.number(),
                _ => Err(format!("{name} takes one number")),
            },
            _ => Err(format!("`{self}` is no number")),
        }
    }

    /// The number in brackets that this is.
    ///
    /// # Errors
    /// When it is none.
    pub fn pointed_number(&self) -> Result<i64, String> {
        match self {
            Self::List(values) if values.len() == 1 => values[0].number(),
            _ => Err(format!("`{self}` is no number in brackets")),
        }
    }

    /// The names, none when it is zero.
    #[must_use]
    pub fn names(&self) -> &[String] {
        match self {
            Self::Names(names) => names,
            _ => &[],
        }
    }

    /// Whether `name` is among the names.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.names().iter().any(|own| own == name)
    }

    /// A field of a struct.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&Value> {
        match self {
            Self::Struct(fields) => fields.iter().find(|(own, _)| own == name).map(|(_, value)| value),
            _ => None,
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |values: &[Value]| values.iter().map(Value::to_string).collect::<Vec<_>>().join(", ");
        match self {
            Self::Default => f.write_str("..."),
            Self::Number(number) => write!(f, "{number}"),
            Self::Names(names) => f.write_str(&names.join("|")),
            Self::Text(text) => write!(f, "{text:?}"),
            Self::List(values) => write!(f, "[{}]", list(values)),
            Self::Struct(fields) => {
                let fields: Vec<String> = fields
                    .iter()
                    .map(
                        |(name, value)| {
                            if name.is_empty() { value.to_string() } else { format!("{name}={value}") }
                        },
                    )
                    .collect();
                write!(f, "{{{}}}", fields.join(", "))
            }
            Self::Call(name, arguments) => write!(f, "{name}({})", list(arguments)),
        }
    }
}

/// Reads `name(arguments)` from the front of `text`, and answers what follows.
///
/// # Errors
/// What is wrong with it.
pub fn parse_call(text: &str) -> Result<(String, Vec<Value>, &str), String> {
    let mut reader = Reader { rest: text };
    let name = reader.word().ok_or_else(|| format!("`{text}` is neither a segment nor a call"))?;
    reader.expect('(')?;
    let arguments = reader.values(')')?;
    Ok((name, arguments, reader.rest))
}

struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    fn skip_space(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn take(&mut self, token: &str) -> bool {
        self.skip_space();
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn expect(&mut self, token: char) -> Result<(), String> {
        if self.take(token.encode_utf8(&mut [0; 4])) {
            Ok(())
        } else {
            Err(format!("`{token}` is missing before `{}`", self.rest))
        }
    }

    fn word(&mut self) -> Option<String> {
        self.skip_space();
        let end = self
            .rest
            .find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')
            .unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        (!word.is_empty()).then(|| word.to_owned())
    }

    /// Values with commas between them, up to `end`.
    fn values(&mut self, end: char) -> Result<Vec<Value>, String> {
        let mut values = Vec::new();
        loop {
            if self.take(end.encode_utf8(&mut [0; 4])) {
                return Ok(values);
            }
            if !values.is_empty() {
                self.expect(',')?;
            }
            values.push(self.value()?);
        }
    }

    fn value(&mut self) -> Result<Value, String> {
        if self.take("...") {
            return Ok(Value::Default);
        }
        if self.take("[") {
            return Ok(Value::List(self.values(']')?));
        }
        if self.take("{") {
            return self.fields();
        }
        if self.take("\"") {
            let (text, rest) = self.rest.split_once('"').ok_or("a quotation mark is missing")?;
            self.rest = rest;
            return Ok(Value::Text(text.to_owned()));
        }
        let negative = self.take("-");
        let word = self.word().ok_or_else(|| format!("`{}` is no value", self.rest))?;
        if word.starts_with(|first: char| first.is_ascii_digit()) {
            let number = match word.strip_prefix("0x") {
                Some(digits) => i64::from_str_radix(digits, 16),
                None => word.parse(),
            };
            let number = number.map_err(|_| format!("`{word}` is no number"))?;
            return Ok(Value::Number(if negative { -number } else { number }));
        }
        if self.take("(") {
            return Ok(Value::Call(word, self.values(')')?));
        }
        let mut names = vec![word];
        while self.take("|") {
            names.push(self.word().ok_or("a name is missing behind `|`")?);
        }
        Ok(Value::Names(names))
    }

    fn fields(&mut self) -> Result<Value, String> {
        let mut fields = Vec::new();
        loop {
            if self.take("}") {
                return Ok(Value::Struct(fields));
            }
            if !fields.is_empty() {
                self.expect(',')?;
            }
            let before = self.rest;
            let name = self.word().unwrap_or_default();
            let name = if self.take("=") {
                name
            } else {
                self.rest = before;
                String::new()
            };
            fields.push((name, self.value()?));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_reads_as_the_same_arguments() {
        for text in [
            "socket(..., SOCK_STREAM, IPPROTO_TCP)",
            "bind(3, {sa_family=AF_INET, sin_port=htons(8080)}, ...)",
            "poll([{fd=4, events=POLLIN|POLLOUT, revents=POLLOUT}], 1, -1)",
            "setsockopt(4, SOL_SOCKET, SO_LINGER, {onoff=1, linger=0}, 8)",
            "setsockopt(4, SOL_TCP, TCP_CONGESTION, \"reno\", 4)",
        ] {
            let (name, arguments, rest) = parse_call(text).expect("it is written well");
            assert_eq!(Value::Call(name, arguments).to_string(), text);
            assert_eq!(rest, "");
        }
    }
}
