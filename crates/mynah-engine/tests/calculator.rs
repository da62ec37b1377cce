//! The calculator against Python: `golden/calculator.tsv`, made by `golden/make_calculator.py`.

use mynah_engine::calculator::answer;

#[test]
fn answers_as_python_does() {
    let golden = include_str!("../golden/calculator.tsv");
    let mut wrong = Vec::new();
    for line in golden.lines() {
        let (expression, expect) = line.split_once('\t').expect("expression, tab, answer");
        let found = answer(expression);
        if found != expect {
            wrong.push(format!("{expression} gave {found}, Python says {expect}"));
        }
    }
    assert!(golden.lines().count() > 1000);
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), golden.lines().count(), wrong.join("\n"));
}
