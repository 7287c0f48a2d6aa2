use super::*;

fn draw(text: &str, marked: &str, paint: &Paint) -> String {
    let start = text.find(marked).unwrap();
    let mut out = String::new();
    Excerpt {
        from: Quoted { text, first_line: 9 },
        file: "a.yaml",
        mark: start..start + marked.len(),
        context: text.find("- "),
        label: "spec.x",
    }
    .draw(&mut out, paint);
    out
}

#[test]
fn a_mark_stands_under_the_very_value() {
    let text = "list:\n- name: a\n  b: 1\n  c: 12345 # why\n";
    assert_eq!(
        draw(text, "12345", &Paint::PLAIN),
        concat!(
            "   ,-[a.yaml:12:6]\n",
            "10 | - name: a\n",
            "   :\n",
            "12 |   c: 12345 # why\n",
            "   :      ^^^^^\n",
            "   :        `-- spec.x\n",
            "   `----\n",
        )
    );
}

#[test]
fn a_mark_stands_right_behind_wide_characters_and_tabs() {
    let boxed = Paint::PLAIN.boxed();
    let out = draw("- 漢字:\tx\r\n", "x", &boxed);
    assert_eq!(
        out,
        concat!(
            "  ╭─[a.yaml:9:7]\n",
            "9 │ - 漢字: x\n",
            "  ·         ┬\n",
            "  ·         ╰── spec.x\n",
            "  ╰────\n",
        )
    );
}

#[test]
fn an_endless_line_is_cropped_around_the_mark() {
    let text =
        format!("{{{}\"needle\": 1, {}}}", "\"k\": 0, ".repeat(500), "\"k\": 0, ".repeat(500));
    let out = draw(&text, "\"needle\"", &Paint::PLAIN);
    assert!(out.lines().all(|line| line.len() < 2 * WIDTH), "{out}");
    let line = out.lines().find(|line| line.contains("needle")).unwrap();
    let mark = out.lines().find(|line| line.contains("^^^^^^^^")).unwrap();
    assert_eq!(line.find("\"needle\""), mark.find('^'));
}

#[test]
fn a_file_cannot_write_to_the_terminal() {
    let out = draw("a: \u{1b}[2Jx\u{202e}y\n", "x", &Paint::PLAIN);
    assert!(out.contains("a: \u{241b}[2Jx\u{fffd}y"), "{out}");
    assert_eq!(printable("a\u{7}b\nc"), "a\u{2407}b\nc");
}

#[test]
fn columns_count_characters_and_a_span_may_end_the_text() {
    let quoted = Quoted { text: "a: ü\nb", first_line: 1 };
    assert_eq!(quoted.position(3), Position { line: 1, column: 4 });
    assert_eq!(quoted.position(4), Position { line: 1, column: 4 });
    assert_eq!(quoted.position(99), Position { line: 2, column: 2 });
    assert_eq!(quoted.line_at(99), ("b", 1));
}
