//! What can be asserted? [`parse_assertion`] and [`check`]: comparisons of facts, as Python writes them, and
//! no more of Python.

use std::fmt;

/// A number or a text.
#[derive(Clone, Debug, PartialEq)]
pub enum Fact {
    /// A number.
    Number(f64),
    /// A text.
    Text(String),
}

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Text(text) => write!(f, "\"{text}\""),
        }
    }
}

/// One side of a comparison.
#[derive(Clone, Debug, PartialEq)]
pub enum Term {
    /// As it is written.
    Fact(Fact),
    /// What the connection says of itself, or a constant.
    Name(String),
}

/// A comparison.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// The left side.
    pub left: Term,
    /// How.
    pub operator: Operator,
    /// The right side.
    pub right: Term,
}

/// How two facts are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `<=`
    AtMost,
    /// `>=`
    AtLeast,
    /// `<`
    Less,
    /// `>`
    Greater,
    /// `in`: the right text holds the left one.
    Within,
    /// `not in`
    NotWithin,
}

/// Longer ones first, so that none is taken for the front of another.
const OPERATORS: [(&str, Operator); 8] = [
    ("==", Operator::Equal),
    ("!=", Operator::NotEqual),
    ("<=", Operator::AtMost),
    (">=", Operator::AtLeast),
    (" not in ", Operator::NotWithin),
    (" in ", Operator::Within),
    ("<", Operator::Less),
    (">", Operator::Greater),
];

/// Reads `assert A == B and C < D, message`, several with `;` between them.
///
/// # Errors
/// What is wrong with it.
pub fn parse_assertion(code: &str) -> Result<Vec<Comparison>, String> {
    let mut comparisons = Vec::new();
    for statement in code.replace("assert ", ";assert ").split(';').map(str::trim) {
        if statement.is_empty() {
            continue;
        }
        let condition =
            statement.strip_prefix("assert ").ok_or_else(|| format!("`{statement}` is no `assert`"))?;
        let condition = before_message(condition).trim();
        // Python lets brackets stand around a condition, and people write them.
        let condition =
            condition.strip_prefix('(').and_then(|inner| inner.strip_suffix(')')).unwrap_or(condition);
        for comparison in condition.split(" and ") {
            comparisons.push(parse_comparison(comparison)?);
        }
    }
    Ok(comparisons)
}

/// What stands before the first comma outside of quotation marks.
fn before_message(condition: &str) -> &str {
    let mut quoted = false;
    let end = condition.find(|letter: char| {
        quoted ^= letter == '"' || letter == '\'';
        letter == ',' && !quoted
    });
    &condition[..end.unwrap_or(condition.len())]
}

fn parse_comparison(text: &str) -> Result<Comparison, String> {
    let found = OPERATORS.iter().find_map(|(sign, operator)| Some((*operator, text.split_once(sign)?)));
    let (operator, (left, right)) = found.ok_or_else(|| format!("`{}` compares nothing", text.trim()))?;
    Ok(Comparison { left: parse_term(left), operator, right: parse_term(right) })
}

fn parse_term(text: &str) -> Term {
    let text = text.trim();
    if let Ok(number) = text.replace('_', "").parse() {
        return Term::Fact(Fact::Number(number));
    }
    match text.strip_prefix(['"', '\'']).and_then(|rest| rest.strip_suffix(['"', '\''])) {
        Some(text) => Term::Fact(Fact::Text(text.to_owned())),
        None => Term::Name(text.to_owned()),
    }
}

/// Compares. `fact` knows what names stand for.
///
/// # Errors
/// What differs, in words, or which name is not known.
pub fn check(
    comparison: &Comparison,
    mut fact: impl FnMut(&str) -> Result<Fact, String>,
) -> Result<(), String> {
    let mut value = |term: &Term| match term {
        Term::Fact(fact) => Ok(fact.clone()),
        Term::Name(name) => fact(name),
    };
    let (left, right) = (value(&comparison.left)?, value(&comparison.right)?);
    let holds = match (comparison.operator, &left, &right) {
        (Operator::Equal, _, _) => left == right,
        (Operator::NotEqual, _, _) => left != right,
        (Operator::AtMost, Fact::Number(left), Fact::Number(right)) => left <= right,
        (Operator::AtLeast, Fact::Number(left), Fact::Number(right)) => left >= right,
        (Operator::Less, Fact::Number(left), Fact::Number(right)) => left < right,
        (Operator::Greater, Fact::Number(left), Fact::Number(right)) => left > right,
        (Operator::Within, Fact::Text(left), Fact::Text(right)) => right.contains(left),
        (Operator::NotWithin, Fact::Text(left), Fact::Text(right)) => !right.contains(left),
        _ => return Err(format!("{left} and {right} cannot be compared so")),
    };
    if holds {
        return Ok(());
    }
    let name = |term: &Term, fact: &Fact| match term {
        Term::Name(name) => format!("{name} is {fact}"),
        Term::Fact(_) => format!("{fact} is written"),
    };
    Err(format!("{}, {}", name(&comparison.left, &left), name(&comparison.right, &right)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comparisons_hold_or_say_what_differs() {
        let fact = |name: &str| match name {
            "ten" => Ok(Fact::Number(10.0)),
            "why" => Ok(Fact::Text("Nagle: 12 bytes".to_owned())),
            _ => Err(format!("`{name}` is nothing")),
        };
        let run =
            |code: &str| parse_assertion(code)?.iter().try_for_each(|comparison| check(comparison, fact));
        for code in [
            "assert ten == 10, ten",
            "assert ten >= 10 and ten < 11",
            "assert (1_000 > ten)",
            "assert 'Nagle' in why; assert \"x\" not in why",
        ] {
            assert_eq!(run(code), Ok(()), "{code}");
        }
        for (code, fault) in [
            ("assert ten == 9", "ten is 10, 9 is written"),
            ("assert ten", "`ten` compares nothing"),
            ("print(ten)", "`print(ten)` is no `assert`"),
            ("assert six == 6", "`six` is nothing"),
            ("assert ten < why", "10 and \"Nagle: 12 bytes\" cannot be compared so"),
        ] {
            assert_eq!(run(code), Err(fault.to_owned()));
        }
    }
}
