use crate::bench::Bench;

#[test]
fn the_demo_keeps_every_promise() {
    let run = Bench::new().run("demo --json");
    assert_eq!(run.code, Some(0), "{run:#?}");
    let report: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(report["kept"], true, "{report:#}");
    assert!(report["checks"].as_array().unwrap().len() > 25, "{report:#}");
}
