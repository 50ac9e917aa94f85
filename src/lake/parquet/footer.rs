//! What a file says of itself in its footer.

use crate::lake::{Decided, Footer, FooterError, PlanHash};
use ::parquet::file::metadata::{KeyValue, ParquetMetaDataReader};

const PLAN: &str = "thalweg.plan";
const ROWS: &str = "thalweg.rows";
const CHECKSUM: &str = "thalweg.checksum";

/// Length of the metadata and the magic that every file ends with.
const END: usize = 8;

pub(super) fn metadata(plan: &Decided, file: usize) -> Vec<KeyValue> {
    let Footer { plan, rows, checksum } = plan.footer(file);
    vec![
        KeyValue::new(PLAN.into(), plan.to_string()),
        KeyValue::new(ROWS.into(), rows.to_string()),
        KeyValue::new(CHECKSUM.into(), format!("{checksum:016x}")),
    ]
}

/// The facts from a file's last bytes, or how many more of them it takes.
pub fn read_footer(tail: &[u8]) -> Result<Footer, FooterError> {
    let damaged = |what: &str| FooterError::Damaged(what.to_owned());
    let (body, end) = tail.split_last_chunk::<END>().ok_or_else(|| damaged("too short"))?;
    let (len, magic) = end.split_at(4);
    if magic != b"PAR1" {
        return Err(damaged("not the end of a Parquet file"));
    }
    let len = u32::from_le_bytes(len.try_into().expect("split at four")) as usize;
    let start = body.len().checked_sub(len).ok_or(FooterError::Longer(len + END))?;
    let metadata = ParquetMetaDataReader::decode_metadata(&body[start..])
        .map_err(|error| FooterError::Damaged(error.to_string()))?;
    let pairs = metadata.file_metadata().key_value_metadata().ok_or_else(|| damaged("no metadata"))?;
    let text = |name: &str| {
        let pair = pairs.iter().find(|pair| pair.key == name);
        pair.and_then(|pair| pair.value.as_deref()).ok_or_else(|| damaged(&format!("`{name}` is missing")))
    };
    let bad = |name: &str| damaged(&format!("`{name}` is no number"));
    Ok(Footer {
        plan: PlanHash(u128::from_str_radix(text(PLAN)?, 16).map_err(|_| bad(PLAN))?),
        rows: text(ROWS)?.parse().map_err(|_| bad(ROWS))?,
        checksum: u64::from_str_radix(text(CHECKSUM)?, 16).map_err(|_| bad(CHECKSUM))?,
    })
}
