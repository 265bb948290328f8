//! Scenes as text with colours, or as JSON.

use std::path::{Path, PathBuf};

use ciao_inspect::{
    comparison, json as inspect_json,
    ladder::{self, Explanations, Options, ladder},
    page::{Line, Page, Tone},
};
use serde::Serialize;

use super::{Act, Scene};

/// Runs of more rows than this are folded: half a dozen segments can be followed one by one.
const FOLD_BEYOND: usize = 6;

/// Columns of prose; ladders may be wider.
const PROSE_WIDTH: usize = 100;

/// Prints the scenes.
pub(super) fn text(scenes: &[(&str, Scene)]) -> anyhow::Result<()> {
    anstream::print!("{}", page(scenes).coloured());
    Ok(())
}

/// The scenes one after the other, and the comparison of those that can be compared.
pub(super) fn page(scenes: &[(&str, Scene)]) -> Page {
    let mut page = Page::default();
    for (_, scene) in scenes {
        let rule = "━".repeat(PROSE_WIDTH.saturating_sub(scene.title.chars().count() + 4));
        let mut title = Line::of(Tone::Strong, format!("━━ {} ", scene.title));
        title.push(Tone::Quiet, rule);
        page.push(title);
        page.push(Line::default());
        for act in &scene.acts {
            draw(&mut page, act);
        }
    }
    let compared: Vec<_> = scenes.iter().filter_map(|(_, scene)| scene.compared).collect();
    if compared.len() > 1 {
        page.push(Line::of(Tone::Strong, "Side by side"));
        page.0.extend(comparison::table(&compared).0);
    }
    page
}

fn draw(page: &mut Page, act: &Act) {
    page.push(Line::of(Tone::Strong, act.heading.clone()));
    prose(page, &act.before);
    for (number, connection) in act.connections.iter().enumerate() {
        let explanations = if number == 0 { Explanations::Shown } else { Explanations::Hidden };
        let origin = act.connections.first().map(ciao_inspect::Connection::start);
        let options =
            Options { explanations, origin, fold_beyond: FOLD_BEYOND, ..ladder::Options::default() };
        if act.connections.len() > 1 {
            page.push(Line::of(Tone::Quiet, format!("Connection {}", number + 1)));
        }
        page.0.extend(ladder(connection, &options).0);
        page.push(Line::default());
    }
    if !act.after.is_empty() {
        prose(page, &act.after);
    }
}

fn prose(page: &mut Page, paragraphs: &[String]) {
    for paragraph in paragraphs {
        page.0.extend(Line::of(Tone::Plain, paragraph.clone()).wrapped(PROSE_WIDTH));
        page.push(Line::default());
    }
}

/// A scene in JSON.
#[derive(Serialize)]
struct SceneRecord<'a> {
    scene: &'a str,
    title: &'a str,
    acts: Vec<ActRecord<'a>>,
    totals: Option<comparison::Totals>,
}

#[derive(Serialize)]
struct ActRecord<'a> {
    heading: &'a str,
    connections: Vec<inspect_json::Connection>,
}

/// Prints the scenes as one JSON document.
pub(super) fn json(scenes: &[(&str, Scene)]) -> anyhow::Result<()> {
    let records: Vec<_> = scenes
        .iter()
        .map(|(name, scene)| SceneRecord {
            scene: name,
            title: &scene.title,
            acts: scene
                .acts
                .iter()
                .map(|act| ActRecord {
                    heading: &act.heading,
                    connections: inspect_json::connections(&act.connections),
                })
                .collect(),
            totals: scene.compared.map(|(_, totals)| totals),
        })
        .collect();
    anstream::println!("{}", serde_json::to_string_pretty(&records)?);
    Ok(())
}

/// `file` with the name of a scene in it: `demo.pcapng` and `close` make `demo-close.pcapng`.
pub(super) fn named(file: &Path, scene: &str) -> PathBuf {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    let mut name = format!("{stem}-{scene}");
    if let Some(extension) = file.extension() {
        name += &format!(".{}", extension.to_string_lossy());
    }
    file.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_scene_goes_before_the_ending() {
        assert_eq!(named(Path::new("a/demo.pcapng"), "http1.0"), Path::new("a/demo-http1.0.pcapng"));
        assert_eq!(named(Path::new("demo"), "close"), Path::new("demo-close"));
    }
}
