//! One answer of the doctor, and how it is shown.

use serde::Serialize;

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    Pass,
    Warn,
    Fail,
    /// The host does not say.
    Unknown,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Finding {
    pub name: String,
    pub status: Status,
    /// What was found, and why it matters if it is not good.
    pub what: String,
    /// The command or setting that mends it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

impl Finding {
    pub fn pass(name: impl Into<String>, what: impl Into<String>) -> Self {
        Self::new(name, Status::Pass, what, None)
    }

    pub fn unknown(name: impl Into<String>, what: impl Into<String>) -> Self {
        Self::new(name, Status::Unknown, what, None)
    }

    pub fn warn(
        name: impl Into<String>,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::new(name, Status::Warn, what, Some(remedy.into()))
    }

    pub fn fail(
        name: impl Into<String>,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::new(name, Status::Fail, what, Some(remedy.into()))
    }

    fn new(
        name: impl Into<String>,
        status: Status,
        what: impl Into<String>,
        remedy: Option<String>,
    ) -> Self {
        Self {
            name: name.into(),
            status,
            what: what.into(),
            remedy,
        }
    }
}

#[derive(Serialize)]
struct Report<'a> {
    passes: usize,
    warnings: usize,
    failures: usize,
    unknown: usize,
    findings: &'a [Finding],
}

fn count(findings: &[Finding], status: Status) -> usize {
    findings.iter().filter(|f| f.status == status).count()
}

pub fn json(findings: &[Finding]) -> String {
    let report = Report {
        passes: count(findings, Status::Pass),
        warnings: count(findings, Status::Warn),
        failures: count(findings, Status::Fail),
        unknown: count(findings, Status::Unknown),
        findings,
    };
    serde_json::to_string(&report).unwrap_or_else(|e| unreachable!("text always serializes: {e}"))
}

pub fn print(findings: &[Finding]) {
    let width = findings.iter().map(|f| f.name.len()).max().unwrap_or(0);
    for finding in findings {
        let mark = match finding.status {
            Status::Pass => "pass   ",
            Status::Warn => "WARN   ",
            Status::Fail => "FAIL   ",
            Status::Unknown => "unknown",
        };
        println!("{mark}  {:width$}  {}", finding.name, finding.what);
        if let Some(remedy) = &finding.remedy {
            println!("{:9}{:width$}  mend: {remedy}", "", "");
        }
    }
    println!(
        "\n{} pass, {} warn, {} fail, {} unknown",
        count(findings, Status::Pass),
        count(findings, Status::Warn),
        count(findings, Status::Fail),
        count(findings, Status::Unknown),
    );
}
