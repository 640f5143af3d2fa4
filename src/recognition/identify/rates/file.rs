//! `MODEL.rates`: the measurements of another recognition model, as readable text. A wrong number in it would name
//! strangers, so each line must be the expected one.

use crate::recognition::identify::cohort::{Cohort, content};
use crate::recognition::identify::rates::{LOG_SHARES, NAMED_SHARES, Rates, Row, Table, VARIANCE_SHARES};
use anyhow::{Context, anyhow, bail, ensure};
use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

/// The first line. It changes with the format.
const MAGIC: &str = "namecam rates 3";
/// The largest size of a file; a valid one takes 4 KB.
const MAX_BYTES: u64 = 64 << 10;
/// The remedy in error messages about a file.
const REMEDY: &str = "make it anew (make tables RECOGNIZER=FILE LFW=\"FOLDER ...\"), or remove it";

/// Reads the rates of the model whose SHA-256 is `sha256`; `None` when the file does not exist.
///
/// # Errors
/// When the file is for another model or not in the format of [`text`]. The error names the file, the line and the
/// remedy.
pub fn read(path: &Path, sha256: &str, cohort: Arc<Cohort>) -> anyhow::Result<Option<Rates>> {
    let Some(bytes) = content(path, MAX_BYTES, REMEDY)? else { return Ok(None) };
    let text = std::str::from_utf8(&bytes).with_context(|| format!("{} is no text; {REMEDY}", path.display()))?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    parse(text, &name, sha256, cohort).map(Some).map_err(|error| anyhow!("{}{error}; {REMEDY}", path.display()))
}

/// Parses the text of such a file.
///
/// # Errors
/// The error begins with `:LINE: `, so that the caller can put the file name before it.
pub fn parse(text: &str, name: &str, sha256: &str, cohort: Arc<Cohort>) -> anyhow::Result<Rates> {
    let mut lines = Lines { rest: (1..).zip(text.lines().map(str::trim)).collect::<Vec<_>>().into_iter(), at: 1 };
    let magic = lines.next_line();
    ensure!(magic == Some(MAGIC), lines.wrong(MAGIC, magic));
    let model = lines.value("model")?;
    if model != sha256 {
        bail!(":{}: this is of the model with SHA-256 {model}, and the one beside it has {sha256}", lines.at);
    }
    let [within_variance] = lines.numbers("within_variance")?;
    ensure!(within_variance > 0.0, ":{}: must be above 0", lines.at);
    let columns: Row = lines.numbers("variance_shares")?;
    ensure!(columns == VARIANCE_SHARES, ":{}: the columns must be {VARIANCE_SHARES:?}", lines.at);
    let mut table = |metric: &str| -> anyhow::Result<Table> {
        let strangers = lines.rows(|share| format!("{metric} strangers {share:.1}"), &LOG_SHARES)?;
        let known = lines.rows(|share| format!("{metric} known {share}"), &NAMED_SHARES)?;
        let distances = lines.rows(|share| format!("{metric} distances {share:.1}"), &LOG_SHARES)?;
        Ok(Table { strangers, known, distances })
    };
    let rates = Rates {
        name: name.to_owned(),
        within_variance,
        euclidean: table("euclidean")?,
        cosine: table("cosine")?,
        cohort,
    };
    match lines.next_line() {
        None => Ok(rates),
        more => Err(lines.wrong("the end", more)),
    }
}

/// The text of such a file. `source` is a line about the origin of the numbers.
pub fn text(rates: &Rates, sha256: &str, source: &str) -> String {
    let cells = |row: &[f32]| row.iter().map(|value| format!(" {value:.6}")).collect::<String>();
    let mut out = format!(
        "{MAGIC}\n\
         # {source}\n\
         # A row: strangers by the logarithm of their share, looks at known people by their share. A column: 1/g + 1/k for g\n\
         # pictures a person and k looks. Scores are distances that are normalised by the cohort beside this file.\n\
         model: {sha256}\n\
         within_variance: {:.6}\n\
         variance_shares:",
        rates.within_variance
    );
    VARIANCE_SHARES.iter().for_each(|share| out.push_str(&format!(" {share:.3}")));
    out.push('\n');
    for (metric, table) in [("euclidean", &rates.euclidean), ("cosine", &rates.cosine)] {
        for (share, row) in LOG_SHARES.iter().zip(&table.strangers) {
            let _ = writeln!(out, "{metric} strangers {share:.1}:{}", cells(row));
        }
        for (share, row) in NAMED_SHARES.iter().zip(&table.known) {
            let _ = writeln!(out, "{metric} known {share}:{}", cells(row));
        }
        for (share, row) in LOG_SHARES.iter().zip(&table.distances) {
            let _ = writeln!(out, "{metric} distances {share:.1}:{}", cells(row));
        }
    }
    out
}

/// The lines that are neither empty nor comments.
struct Lines<'a> {
    rest: std::vec::IntoIter<(usize, &'a str)>,
    /// The number of the last line that was read.
    at: usize,
}

impl<'a> Lines<'a> {
    /// The next line that is neither empty nor a comment.
    fn next_line(&mut self) -> Option<&'a str> {
        let (at, line) = self.rest.find(|(_, line)| !line.is_empty() && !line.starts_with('#'))?;
        self.at = at;
        Some(line)
    }

    /// The error for a place where `wanted` is missing.
    fn wrong(&self, wanted: &str, found: Option<&str>) -> anyhow::Error {
        match found {
            Some(line) => anyhow!(":{}: {wanted:?} must stand here, not {:?}", self.at, shortened(line)),
            None => anyhow!(":{}: it ends here, and {wanted:?} is missing", self.at),
        }
    }

    /// The value after `label:`.
    fn value(&mut self, label: &str) -> anyhow::Result<&'a str> {
        let line = self.next_line();
        let value = line.and_then(|line| line.strip_prefix(label)?.strip_prefix(':'));
        value.map(str::trim).ok_or_else(|| self.wrong(&format!("{label}:"), line))
    }

    fn numbers<const COUNT: usize>(&mut self, label: &str) -> anyhow::Result<[f32; COUNT]> {
        let value = self.value(label)?;
        let words: Vec<&str> = value.split_whitespace().take(COUNT + 1).collect();
        ensure!(words.len() == COUNT, ":{}: {COUNT} numbers must stand behind {label:?}", self.at);
        let mut numbers = [0.0; COUNT];
        for (number, word) in numbers.iter_mut().zip(words) {
            let parsed = word.parse().ok().filter(|number: &f32| number.is_finite());
            *number = parsed.ok_or_else(|| anyhow!(":{}: {:?} is no number", self.at, shortened(word)))?;
        }
        Ok(numbers)
    }

    /// Rows whose values increase from row to row and from left to right, because fewer pictures have more noise.
    fn rows<const ROWS: usize>(
        &mut self,
        label: impl Fn(f32) -> String,
        shares: &[f32; ROWS],
    ) -> anyhow::Result<[Row; ROWS]> {
        let mut rows = [[0.0; VARIANCE_SHARES.len()]; ROWS];
        for (at, share) in shares.iter().enumerate() {
            let row: Row = self.numbers(&label(*share))?;
            ensure!(row.is_sorted(), ":{}: the values must not fall from left to right", self.at);
            let rises = at == 0 || rows[at - 1].iter().zip(&row).all(|(above, below)| above <= below);
            ensure!(rises, ":{}: no value may be below the one in the row above", self.at);
            rows[at] = row;
        }
        let flat = rows[0].iter().zip(&rows[ROWS - 1]).any(|(first, last)| first >= last);
        ensure!(!flat, ":{}: the values must be above those of the first such row", self.at);
        Ok(rows)
    }
}

/// The beginning of a text, for an error message.
fn shortened(text: &str) -> String {
    text.chars().take(60).collect()
}

/// Parses any bytes as rates.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = parse(text, "fuzz", "0", Cohort::built_in());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recognition::identify::cohort::DLIBS_OWN as SUM;

    fn whole() -> String {
        text(&Rates::default(), SUM, "dlib's own, on LFW")
    }

    fn parsed(text: &str, name: &str) -> anyhow::Result<Rates> {
        parse(text, name, SUM, Cohort::built_in())
    }

    #[test]
    fn a_written_file_is_read_again_also_with_comments_and_windows_line_ends() {
        let expected = Rates { name: "mine.dat.rates".into(), ..Rates::default() };
        assert_eq!(parsed(&whole(), "mine.dat.rates").unwrap(), expected);
        let from_windows = whole().replace('\n', "\r\n\r\n# more\r\n");
        assert_eq!(parsed(&from_windows, "mine.dat.rates").unwrap(), expected);
    }

    /// Each case has the line that the error must name.
    #[test]
    fn a_wrong_line_is_named_in_the_error() {
        let first = "euclidean strangers -6.0:";
        for (from, to, line, said) in [
            (MAGIC, "namecam rates 1", 1, "\"namecam rates 3\" must stand here, not \"namecam rates 1\""),
            ("model: 55533b28", "model: 66633b28", 5, "SHA-256 66633b28"),
            ("within_variance: 0.097800", "within_variance: 0", 6, "above 0"),
            ("within_variance: 0.097800", "within_variance: NaN", 6, "\"NaN\" is no number"),
            ("within_variance:", "variance:", 6, "\"within_variance:\" must stand here"),
            (" 0.400", " 0.500", 7, "columns must be"),
            (&format!("{first} -11.726300"), first, 8, "7 numbers"),
            (&format!("{first} -11.726300"), &format!("{first} -11.7 -11.7"), 8, "7 numbers"),
            (&format!("{first} -11.726300"), &format!("{first} inf"), 8, "\"inf\" is no number"),
            (&format!("{first} -11.726300"), &format!("{first} -11.0000"), 8, "fall from left to right"),
            (&format!("{first} -11.726300"), &format!("{first} -11,7"), 8, "\"-11,7\" is no number"),
            (" -10.594700 ", " -11.8000 ", 9, "row above"),
            ("euclidean known 0.2:", "euclidean known 0.3:", 20, "\"euclidean known 0.2:\" must stand here"),
        ] {
            let broken = whole().replacen(from, to, 1);
            assert_ne!(broken, whole(), "{from}");
            let error = parsed(&broken, "x").unwrap_err().to_string();
            assert!(error.starts_with(&format!(":{line}: ")) && error.contains(said), "{from} -> {to}: {error}");
        }
    }

    #[test]
    fn a_truncated_file_and_one_with_extra_lines_are_refused() {
        let whole = whole();
        let lines: Vec<&str> = whole.lines().collect();
        for count in 0..lines.len() {
            let error = parsed(&lines[..count].join("\n"), "x").unwrap_err().to_string();
            assert!(error.contains("it ends here"), "{count} lines: {error}");
        }
        let error = parsed(&format!("{whole}cosine known 1: 1 1 1 1 1 1 1\n"), "x").unwrap_err().to_string();
        assert!(error.starts_with(":72: \"the end\" must stand here"), "{error}");
        let flat = whole.lines().map(|line| match line.split_once(':') {
            Some((label, _)) if label.starts_with("cosine known") => format!("{label}: 1 1 1 1 1 1 1\n"),
            _ => format!("{line}\n"),
        });
        let error = parsed(&flat.collect::<String>(), "x").unwrap_err().to_string();
        assert!(error.contains("above those of the first"), "{error}");
    }

    #[test]
    fn a_missing_file_is_none_and_one_that_is_too_long_or_not_text_is_refused_with_a_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mine.dat.rates");
        assert_eq!(read(&path, SUM, Cohort::built_in()).unwrap(), None);
        std::fs::write(&path, whole()).unwrap();
        assert_eq!(read(&path, SUM, Cohort::built_in()).unwrap().unwrap().name, "mine.dat.rates");
        for bytes in [whole().into_bytes().repeat(40), vec![0xff; 100], b"namecam rates 1".to_vec()] {
            std::fs::write(&path, bytes).unwrap();
            let error = format!("{:#}", read(&path, SUM, Cohort::built_in()).unwrap_err());
            assert!(error.contains("mine.dat.rates") && error.contains("make tables"), "{error}");
        }
    }
}
