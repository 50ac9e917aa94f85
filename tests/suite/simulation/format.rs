//! What the lake's files hold: rows alone in most histories, Parquet behind them in some.

use std::rc::Rc;
use thalweg::lake::{Format, Rows};

/// One history in so many writes Parquet as well; `FORMAT=parquet` makes it all, `FORMAT=rows` none.
#[cfg(feature = "parquet")]
const PARQUET: u64 = 50;

#[cfg(not(feature = "parquet"))]
pub(super) fn of(_: u64) -> Rc<dyn Format> {
    Rc::new(Rows)
}

#[cfg(feature = "parquet")]
pub(super) fn of(seed: u64) -> Rc<dyn Format> {
    let is_parquet = match std::env::var("FORMAT") {
        Ok(format) => format == "parquet",
        Err(_) => seed.is_multiple_of(PARQUET),
    };
    if is_parquet { Rc::new(both::Both) } else { Rc::new(Rows) }
}

#[cfg(feature = "parquet")]
mod both {
    use thalweg::lake::{Chunk, Decided, Footer, FooterError, Format, Parquet, Rows};
    use thalweg::topology::Topology;

    /// The rows for the judge, then the file as production writes it, whose footer is the one that is read.
    #[derive(Debug)]
    pub(super) struct Both;

    impl Format for Both {
        fn write(&self, topology: &Topology, chunk: &Chunk, plan: &Decided, file: usize) -> Vec<u8> {
            let mut bytes = Rows.write(topology, chunk, plan, file);
            bytes.extend(Parquet.write(topology, chunk, plan, file));
            bytes
        }

        fn footer(&self, tail: &[u8]) -> Result<Footer, FooterError> {
            Parquet.footer(tail)
        }
    }
}
