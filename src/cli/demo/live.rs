//! Collects what the live picture shows.

use super::screen::{Picture, Screen};
use super::top::Top;
use crate::cli::exit::Exit;
use crate::cli::lake_files;
use crate::cli::progress::Moment;
use crate::cli::river::River;
use crate::cli::topic::Tail;
use crate::model::Topic;
use crate::port::Reader;
use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Rows and files are looked through this often: there may be many.
const LOOK_EVERY: Duration = Duration::from_secs(1);
const SHOWN: usize = 5;

pub(super) struct Live<'a> {
    river: &'a River,
    reader: Box<dyn Reader>,
    rows: Tail,
    top: Top,
    table: PathBuf,
    began: Instant,
    looked: Option<Instant>,
    drawn: Instant,
    picture: Picture,
    screen: Screen,
}

impl<'a> Live<'a> {
    pub(super) fn new(river: &'a River, events: Option<u64>) -> Result<Self, Exit> {
        let mut reader = river.reader();
        let now = Instant::now();
        Ok(Live {
            river,
            rows: Tail::open(&mut *reader, Topic::Metrics)?,
            reader,
            top: Top::default(),
            table: river.lake().join(&river.topology().lake.table),
            began: now,
            looked: None,
            drawn: now,
            picture: Picture { events, ..Picture::default() },
            screen: Screen::default(),
        })
    }

    pub(super) fn draw(&mut self, out: &mut dyn Write) -> Result<(), Exit> {
        let moment = Moment::now(&self.river.control, &mut *self.reader)?;
        if self.looked.is_none_or(|looked| looked.elapsed() >= LOOK_EVERY) {
            self.look()?;
        }
        let picture = &mut self.picture;
        let since = self.drawn.elapsed().as_secs_f64().max(0.001);
        picture.records_per_second = (moment.raw.saturating_sub(picture.moment.raw) as f64 / since) as u64;
        picture.elapsed = self.began.elapsed();
        picture.moment = moment;
        self.drawn = Instant::now();
        Ok(self.screen.draw(out, picture)?)
    }

    fn look(&mut self) -> Result<(), Exit> {
        let top = &mut self.top;
        self.rows.advance(&mut *self.reader, |batch, record| {
            if let (Some(key), Some(value)) = (batch.key(record), batch.value(record)) {
                top.take(key, value);
            }
            Ok(())
        })?;
        self.picture.vendors = self.top.first(SHOWN);
        self.picture.files = lake_files::newest(&self.table, SHOWN);
        self.looked = Some(Instant::now());
        Ok(())
    }
}
