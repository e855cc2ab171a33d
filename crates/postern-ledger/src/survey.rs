//! What the next opening of a ledger would change, found without changing anything.

use std::{path::Path, sync::Arc};

use crate::{
    Damage,
    dictionary::Rows,
    disk::{Disk, Folder},
    epoch,
    frame::LedgerId,
    identity::{self, unreadable},
    scan::Scan,
};

/// What is there, and what opening would do with it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Survey {
    pub entries: u64,
    /// How many of them are of the format's first version, which is read and no longer written.
    pub first_version: u64,
    /// The last segment is of that version: the next entry begins a new one.
    pub begins_segment: bool,
    /// Something unfinished stands at the end, of entries or of rows, and would be removed.
    pub unfinished: bool,
    /// How many customers an entry says were erased, and are there still.
    pub to_erase: u64,
    /// What an entry says is past retention is there still, or its key.
    pub to_forget: bool,
}

impl Survey {
    /// Whether opening alone would change nothing.
    pub fn is_clean(&self) -> bool {
        !self.unfinished && self.to_erase == 0 && !self.to_forget
    }
}

/// Looks through a ledger that nobody writes to; all that is read is checked, as by
/// [`Reader`](crate::Reader).
pub fn survey(folder: &Path) -> Result<Survey, Damage> {
    survey_on(&(Arc::new(Folder::new(folder)) as Arc<dyn Disk>))
}

pub(crate) fn survey_on(disk: &Arc<dyn Disk>) -> Result<Survey, Damage> {
    let key = identity::verifying_key(&**disk)?;
    let mut scan = Scan::open(disk.clone(), LedgerId::new(&key), Rows::default())?;
    let mut survey = Survey::default();
    while scan.next()?.is_some() {
        survey.first_version += u64::from(scan.segment_salt().is_none());
    }
    survey.entries = scan.edge().size();
    survey.begins_segment = scan.segment_salt().is_none();
    survey.unfinished = scan.is_torn() || scan.unused_rows()?.is_some();
    let to_erase = scan.erased().iter().filter(|&&subject| scan.rows().has_name_of(subject));
    survey.to_erase = to_erase.count() as u64;
    let stage = scan.stage();
    let keys = epoch::has_keys(&**disk, stage.kept);
    let keys = keys.map_err(|error| unreadable(&**disk, "", error))?;
    survey.to_forget = stage.kept > 0 && (keys || scan.rows().has_name_before(stage.unsealed));
    Ok(survey)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        disk::sim::{Fault, SimDisk},
        recover::{create_on, open_on},
        sequencer::Work,
        tests::{HandClock, commit, draft, options, strong},
    };

    #[test]
    fn what_opening_would_do_is_told_and_nothing_is_changed() {
        let disk = SimDisk::new(0);
        let options = options(Arc::new(HandClock::default()));
        create_on(&disk, &options, &[1; 32]).unwrap();
        let shared: Arc<dyn Disk> = Arc::new(disk.clone());
        assert!(survey_on(&shared).unwrap().is_clean());
        let open = |disk: &SimDisk| {
            open_on(Arc::new(disk.clone()), options.clone(), Box::new(|| [9; 16])).unwrap()
        };
        let mut sequencer = open(&disk);
        commit(&mut sequencer, &[Work::Draft(draft("ana", &[("17", strong())], &[]))]).unwrap();
        // An erasure is cut off behind its entry.
        let cut = (0..).find_map(|operation| {
            let disk = SimDisk::holding(&disk.contents());
            let mut sequencer = open(&disk);
            disk.fail_at(operation, Fault::Killed);
            let (subject, by) = (postern_model::Subject::new("17"), postern_model::Actor::new("r"));
            let _cut = sequencer.erase(&subject, (&by, &"why".into()), &mut Vec::new());
            drop(sequencer);
            let shared: Arc<dyn Disk> = Arc::new(disk.restart());
            let survey = survey_on(&shared).unwrap();
            (survey.to_erase == 1).then_some((disk.restart(), survey))
        });
        let (disk, survey) = cut.unwrap();
        assert_eq!((survey.entries, survey.first_version, survey.is_clean()), (2, 0, false));
        let before = disk.contents();
        let shared: Arc<dyn Disk> = Arc::new(disk.clone());
        assert_eq!(survey_on(&shared).unwrap(), survey);
        assert_eq!(disk.contents(), before);
        drop(open(&disk));
        assert!(survey_on(&shared).unwrap().is_clean());
    }

    #[test]
    fn a_ledger_of_the_first_version_begins_a_new_segment() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors/1-all");
        let survey = survey(&folder).unwrap();
        assert!(survey.begins_segment && survey.first_version == survey.entries);
    }
}
