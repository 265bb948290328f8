//! How does a directory without an index look?
//!
//! Names come from the file system and may hold anything: they are escaped where they are shown, and
//! encoded where they are links.

use super::path::{Entry, encode};

/// The page. `components` are the names from the root to this directory.
pub(super) fn html(components: &[String], entries: &[Entry]) -> String {
    let title = escape(&format!("/{}", components.join("/")));
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{title}</title>\n\
         <style>body{{font:16px/1.5 sans-serif;margin:2em}}td{{padding-right:2em}}\
         td+td{{text-align:right}}</style>\n<h1>{title}</h1>\n<table>\n"
    );
    if !components.is_empty() {
        page.push_str("<tr><td><a href=\"../\">../</a></td><td></td></tr>\n");
    }
    for Entry { name, len } in entries {
        let (slash, len) = match len {
            Some(len) => ("", len.to_string()),
            None => ("/", String::new()),
        };
        let (link, shown) = (encode(name), escape(name));
        // Without `./` a name such as `a:b` would be read as a URL of scheme `a`.
        page.push_str(&format!(
            "<tr><td><a href=\"./{link}{slash}\">{shown}{slash}</a></td><td>{len}</td></tr>\n"
        ));
    }
    page.push_str("</table>\n</html>\n");
    page
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            character => escaped.push(character),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_shown_as_text_and_linked_as_paths() {
        let entries = [
            Entry { name: "<script>alert(1)</script>".to_owned(), len: Some(3) },
            Entry { name: "a?b#c\"d".to_owned(), len: None },
        ];
        let page = html(&["x&y".to_owned()], &entries);
        assert!(page.contains("<title>/x&amp;y</title>"));
        assert!(!page.contains("<script>"));
        assert!(page.contains("href=\"./%3Cscript%3Ealert%281%29%3C%2Fscript%3E\""), "{page}");
        assert!(page.contains("href=\"./a%3Fb%23c%22d/\">a?b#c&quot;d/</a>"), "{page}");
    }
}
