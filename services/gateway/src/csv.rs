//! CSV as in RFC 4180: every cell in quotes, lines that end with CR LF. A spreadsheet must not take a cell for a formula, whatever
//! somebody has written into his name: an apostrophe goes before what could begin one, at the beginning and after whatever a
//! spreadsheet of some country may take for a separator. Who wants the exact bytes takes JSON.

/// What a CSV is, for `Content-Type`.
pub(crate) const MEDIA_TYPE: &str = "text/csv; charset=utf-8; header=present";

/// Letters that begin a formula, also in the full width of East Asian keyboards.
const FORMULA: [char; 8] = ['=', '+', '-', '@', '＝', '＋', '－', '＠'];

/// Writes a line.
pub(crate) fn line(cells: &[&str], into: &mut Vec<u8>) {
    for (number, cell) in cells.iter().enumerate() {
        if number > 0 {
            into.push(b',');
        }
        into.push(b'"');
        into.extend_from_slice(inert(cell).replace('"', "\"\"").as_bytes());
        into.push(b'"');
    }
    into.extend_from_slice(b"\r\n");
}

/// The cell without formulas.
fn inert(cell: &str) -> String {
    let mut text = String::with_capacity(cell.len());
    let mut begins = true;
    for letter in cell.chars() {
        if begins && FORMULA.contains(&letter) {
            text.push('\'');
        }
        text.push(letter);
        let separates = matches!(letter, ',' | ';' | '\t' | '\r' | '\n' | '|');
        begins = separates || (begins && (letter.is_whitespace() || letter == '"'));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(cells: &[&str]) -> String {
        let mut bytes = Vec::new();
        line(cells, &mut bytes);
        String::from_utf8(bytes).expect("UTF-8")
    }

    #[test]
    fn cells_are_quoted_and_lines_end_with_cr_lf() {
        assert_eq!(written(&["a", "", "b c"]), "\"a\",\"\",\"b c\"\r\n");
        assert_eq!(written(&["say \"hi\",\r\nZoë"]), "\"say \"\"hi\"\",\r\nZoë\"\r\n");
    }

    #[test]
    fn no_cell_is_a_formula() {
        for (cell, inert) in [
            ("=1+1", "'=1+1"),
            ("+4930901820", "'+4930901820"),
            ("-2", "'-2"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("＝1", "'＝1"),
            (" \t=1", " \t'=1"),
            ("\r=1", "\r'=1"),
            ("x;=cmd|' /c calc'!A0", "x;'=cmd|' /c calc'!A0"),
            ("x,\"=1", "x,\"'=1"),
            ("a\n-b", "a\n'-b"),
            ("a-b", "a-b"),
            ("a = b", "a = b"),
            ("2026-11-22T12:00:00Z", "2026-11-22T12:00:00Z"),
        ] {
            assert_eq!(super::inert(cell), inert, "{cell:?}");
        }
    }
}
