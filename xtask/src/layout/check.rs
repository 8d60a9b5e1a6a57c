//! Which rows are missing, and how are they written?

use super::{dumps, say};
use memwhy_python::layout::tables;

/// Compares every table with every dump; prints what differs and the row to paste.
pub(crate) fn run() -> Result<(), String> {
    let dumps = dumps()?;
    let mut wrong = 0;
    for dump in &dumps {
        for table in tables::ALL {
            let differences = dump.differences(*table);
            if differences.is_empty() {
                continue;
            }
            wrong += differences.len();
            say(&differences.join("\n"));
            say(&table.row_like(dump.build, &|of, name| dump.find(of, name)));
        }
    }
    if wrong > 0 {
        return Err(format!("{wrong} differences; enums in the rows still want their names"));
    }
    say(&format!("{} tables agree with {} dumps", tables::ALL.len(), dumps.len()));
    Ok(())
}
