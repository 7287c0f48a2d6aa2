use std::fs;

use super::*;

/// A folder that goes away with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("raywarden-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn with(self, name: &str, bytes: impl AsRef<[u8]>) -> Self {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
        self
    }

    /// The names found below `path`, and the messages of what was not.
    fn read(&self, path: &str) -> (Vec<String>, Vec<String>) {
        let mut names = Vec::new();
        let mut messages = Vec::new();
        for source in Inputs::new(&[self.0.join(path)]) {
            match source {
                Ok(source) => names.push(self.relative(&source.name)),
                Err(problem) => messages.push(self.relative(&problem.line())),
            }
        }
        (names, messages)
    }

    fn relative(&self, text: &str) -> String {
        text.replace(&format!("{}/", self.0.display()), "")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_folder_is_its_manifests_by_name_without_hidden_ones() {
    let folder = Folder::new("walk")
        .with("in/b.yaml", "")
        .with("in/a/z.json", "")
        .with("in/a.YML", "")
        .with("in/readme.md", "")
        .with("in/.git/x.yaml", "")
        .with("in/.hidden.yaml", "");
    let (names, messages) = folder.read("in");
    assert_eq!(names, ["in/a/z.json", "in/a.YML", "in/b.yaml"]);
    assert_eq!(messages, [""; 0]);
}

#[test]
fn a_glob_is_what_it_matches_and_nothing_is_said_out_loud() {
    let folder = Folder::new("glob").with("x/a.yaml", "").with("y/b.yaml", "").with("y/c.txt", "");
    assert_eq!(folder.read("*/*.yaml").0, ["x/a.yaml", "y/b.yaml"]);
    assert_eq!(folder.read("**/*").0, ["x/a.yaml", "y/b.yaml", "y/c.txt"]);
    assert_eq!(folder.read("?").0, ["x/a.yaml", "y/b.yaml"]);
    assert!(folder.read("*.yml").1[0].contains("matches no file"));
    assert!(folder.read("[.yml").1[0].contains("not a pattern"));
}

#[test]
fn what_cannot_be_read_is_named_with_its_reason() {
    let folder = Folder::new("bad")
        .with("empty/x.txt", "")
        .with("junk.yaml", b"a: 1\nb: \xff\xfe\n")
        .with("nul.yaml", b"a: 1\n\0")
        .with("wide.yaml", b"\xff\xfea\0")
        .with("big.yaml", vec![b'#'; FILE_LIMIT + 1]);
    let message = |path: &str| folder.read(path).1.join("");
    assert_eq!(
        message("none.yaml"),
        "none.yaml: no such file or directory (check the path; `-` reads standard input)"
    );
    assert!(message("empty").contains("no *.yaml, *.yml or *.json"));
    assert!(message("junk.yaml").starts_with("junk.yaml:2:1: not text"));
    assert!(message("nul.yaml").starts_with("nul.yaml:2:1: not text"));
    assert!(message("wide.yaml").contains("iconv"));
    assert!(message("big.yaml").contains("16 MiB"));
}

#[test]
fn a_byte_order_mark_is_no_content() {
    let folder = Folder::new("bom").with("a.yaml", "\u{feff}a: 1\n");
    let source = Inputs::new(&[folder.0.join("a.yaml")]).next();
    assert_eq!(source.unwrap().unwrap().text, "a: 1\n");
}
