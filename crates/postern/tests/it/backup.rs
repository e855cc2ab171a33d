//! Copying the ledger away and putting it back, by the binary.

use std::fs;

use crate::{ledger, raw::Raw, served::Served, support::Support};

#[test]
fn a_backup_grows_and_is_restored_with_what_is_lost_said() {
    let bench = ledger::bench();
    let folder = bench.path("postern-data/ledger");
    // Four entries, and who took the backup.
    let said = bench.run("ledger backup backup").yes();
    assert_eq!(said, "`backup` has 5 entries, 5 of them new\n");
    ledger::grow(&folder, "leaver");
    let said = bench.run("ledger backup backup").yes();
    assert_eq!(said, "`backup` has 7 entries, 2 of them new\n");
    assert!(bench.run("ledger verify --ledger backup").yes().contains("holds: 7 entries"));
    ledger::grow(&folder, "another");
    fs::copy(folder.join("checkpoint"), bench.path("newest")).unwrap();
    fs::copy(folder.join("key"), bench.path("key")).unwrap();
    fs::copy(folder.join("key.pub"), bench.path("key.pub")).unwrap();
    let said = bench.run("ledger restore backup").ended(1);
    assert!(said.contains("is there already; nothing is overwritten"), "{said}");

    fs::remove_dir_all(&folder).unwrap();
    let restore = "ledger restore backup --key key.pub --signing-key key --against newest";
    let said = bench.run(restore).ended(1);
    assert!(said.contains("the backup has 7 of 8 entries: 1 are lost with it"), "{said}");
    bench.run(&format!("{restore} --with-loss")).ended(64);
    let said = bench.run(&format!("{restore} --with-loss --why fire")).ended(0);
    assert!(said.starts_with("`DIR/postern-data/ledger` has 7 entries\n"), "{said}");
    assert!(said.contains("the 1 entries behind them are lost"), "{said}");
    let shown = bench.run("ledger show").yes();
    let lost = shown.lines().find(|line| line.trim_start().starts_with("7 ")).unwrap();
    assert!(lost.ends_with("put back: entries from 7 up to 8 are lost: fire"), "{lost}");
    ledger::grow(&folder, "goes on");
    assert!(bench.run("ledger verify").yes().contains("holds: 10 entries"));
    let said = bench.run("ledger verify --against newest").ended(1);
    assert!(said.contains("are not those of the checkpoint kept elsewhere"), "{said}");

    fs::remove_dir_all(&folder).unwrap();
    let said = bench.run("ledger restore backup").ended(0);
    assert!(said.contains("warning: what was recorded after 20"), "{said}");
    assert!(said.contains("nothing can be recorded in it"), "{said}");
    assert!(bench.run("ledger verify").yes().contains("holds: 7 entries"));
}

#[test]
fn a_backup_is_made_while_a_gateway_discloses() {
    let support = Support::new();
    let served = Served::start(&support.bench);
    served.wait_until_open("ana");
    let mut ana = Raw::connect(served.address, "ana").unwrap();
    let read = |ana: &mut Raw| {
        for customer in 0..20 {
            ana.query(&format!("SELECT email FROM customers WHERE id = {}", 4 * customer)).unwrap();
        }
    };
    read(&mut ana);
    for _ in 0..2 {
        support.bench.run("ledger backup backup").yes();
        assert!(support.bench.run("ledger verify --ledger backup").yes().contains("holds"));
        read(&mut ana);
    }
    let shown = support.bench.run("ledger show --ledger backup").yes();
    assert!(shown.contains("asked the ledger"), "who took it is recorded: {shown}");
}

#[test]
fn what_a_ledger_of_the_first_format_needs_is_told_before_it_is_done() {
    let bench = crate::bench::Bench::new().file("postern.toml", crate::cli::GOOD);
    let vectors = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let vectors = vectors.join("../postern-ledger/vectors/1");
    fs::create_dir_all(bench.path("old/segments")).unwrap();
    for name in ["key", "key.pub", "checkpoint", "dictionary.log", "segments/0000000000.seg"] {
        fs::copy(vectors.join(name), bench.path("old").join(name)).unwrap();
    }
    let before = fs::read_dir(bench.path("old")).unwrap().count();
    let said = bench.run("ledger migrate --dry-run --ledger old").yes();
    let entries = said.split_once(' ').unwrap().0.to_owned();
    assert_eq!(
        said,
        format!(
            "{entries} entries, {entries} of them of the first format\n\
             the next entry will begin a segment of the present format\n\
             nothing is to be done\n"
        )
    );
    bench.run("ledger who-saw nobody --ledger old").yes();
    let said = bench.run("ledger migrate --dry-run --ledger old").yes();
    assert!(!said.contains("begin a segment"), "{said}");

    // A write that was cut short: told, and then removed.
    let path = bench.path("old/segments/0000000001.seg");
    let mut bytes = fs::read(&path).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    bytes[end + 40] = 1;
    fs::write(&path, &bytes).unwrap();
    let said = bench.run("ledger migrate --dry-run --ledger old").yes();
    assert!(said.contains("an unfinished write at the end is to be removed"), "{said}");
    assert!(fs::read(&path).unwrap() == bytes);
    assert!(bench.run("ledger migrate --ledger old").yes().ends_with("done\n"));
    let said = bench.run("ledger migrate --dry-run --ledger old").yes();
    assert!(said.ends_with("nothing is to be done\n"), "{said}");
    assert_eq!(fs::read_dir(bench.path("old")).unwrap().count(), before + 2);
    bench.run("ledger verify --ledger old").yes();
}
