//! The real nagios4 and icinga2 run the plugin, with the definitions that are shipped as examples.
//!
//! Each is started by the test with directories of its own, and stopped by its process id. What they
//! made of the plugin's output is compared, and printed for the log.

#![expect(clippy::unwrap_used, reason = "a test's way to fail")]

mod skip;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const PROGRAM: &str = env!("CARGO_BIN_EXE_check_sim_credit");
const PATIENCE: Duration = Duration::from_secs(240);

/// Services: their answers, and the state and performance data they must come to.
const SERVICES: [(&str, &str, u8, &str); 4] = [
    ("fine", "Balance: 12.50 EUR", 0, "credit_eur=12.50;5:;2:"),
    ("low", "Balance: 3.10 EUR", 1, "credit_eur=3.10;5:;2:"),
    (
        "empty",
        "Credit actuel: CHF -0,44; 25 SMS gratuits jusqu'au 01.10.2009",
        2,
        "credit_chf=-0.44;5:;2: sms=25;;;0",
    ),
    // The operator's bar must not begin performance data.
    ("unclear", "Service down|credit=99, try again later", 3, ""),
];

/// A server that is stopped when this is dropped.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        let stop = Instant::now() + Duration::from_secs(10);
        while Instant::now() < stop && matches!(self.0.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(50));
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Stores an answer for each service, as smsd's event handler does.
fn store_answers(directory: &Path) {
    for (name, text, _, _) in SERVICES {
        let line = directory.join(format!("{name}.line"));
        // UCS2, as some modems send it: so a bar arrives as a bar.
        let hex: String = text
            .encode_utf16()
            .map(|unit| format!("{unit:04X}"))
            .collect();
        fs::write(&line, format!("OK +CUSD: 2,\"{hex}\",72")).unwrap();
        let status = Command::new(PROGRAM)
            .arg("ussd-event")
            .arg("--state")
            .arg(directory.join(format!("{name}.answer")))
            .arg("USSD")
            .arg(&line)
            .stdout(Stdio::null())
            .status();
        assert!(status.unwrap().success());
    }
}

/// What a server made of a service: state, first line, performance data.
type Seen = BTreeMap<String, (u8, String, String)>;

#[track_caller]
fn assert_seen(server: &str, seen: &Seen) {
    for (name, _, state, performance) in SERVICES {
        let (found, line, data) = &seen[name];
        println!("{server}: {name}: state {found}: {line} | {data}");
        assert_eq!(*found, state, "{server}: {name}: {line}");
        assert!(line.starts_with("SIM CREDIT "), "{server}: {line}");
        assert!(
            data.starts_with(performance),
            "{server}: {name}: {data} does not begin with {performance}"
        );
        let labels: Vec<&str> = data
            .split(' ')
            .filter_map(|figure| figure.split_once('='))
            .map(|(label, _)| label)
            .collect();
        assert_eq!(labels.last(), Some(&"age"), "{server}: {name}: {data}");
        assert!(
            !labels.contains(&"credit"),
            "{server}: forged figures: {data}"
        );
    }
}

#[track_caller]
fn wait_for<T>(what: &str, mut come: impl FnMut() -> Option<T>) -> T {
    let stop = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = come() {
            return value;
        }
        assert!(Instant::now() < stop, "{what} did not come");
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// The example's definition of a command, for the program of this test and a service's answer.
fn nagios_objects(directory: &Path) -> String {
    let shipped = include_str!("../../examples/sim-credit.cfg")
        .replace("/usr/lib/nagios/plugins/check_sim_credit", PROGRAM)
        .replace(
            "/var/lib/sim-credit/answer",
            &format!("{}/$SERVICEDESC$.answer", directory.display()),
        );
    let mut objects = format!(
        "{shipped}\ndefine timeperiod {{\n timeperiod_name always\n alias always\n sunday 00:00-24:00\n monday 00:00-24:00\n \
         tuesday 00:00-24:00\n wednesday 00:00-24:00\n thursday 00:00-24:00\n friday 00:00-24:00\n saturday 00:00-24:00\n}}\n\
         define command {{\n command_name nothing\n command_line /bin/true\n}}\n\
         define contact {{\n contact_name nobody\n host_notification_commands nothing\n service_notification_commands nothing\n \
         host_notification_period always\n service_notification_period always\n}}\n\
         define host {{\n host_name sim\n address 127.0.0.1\n max_check_attempts 1\n check_command nothing\n contacts nobody\n \
         check_period always\n notification_period always\n}}\n"
    );
    for (name, _, _, _) in SERVICES {
        objects.push_str(&format!(
            "define service {{\n host_name sim\n service_description {name}\n check_command check_sim_credit!5:!2:\n \
             check_interval 2\n retry_interval 2\n max_check_attempts 1\n check_period always\n notification_period always\n \
             contacts nobody\n}}\n"
        ));
    }
    objects
}

fn nagios_configuration(root: &str, user: &str) -> String {
    format!(
        "cfg_file={root}/objects.cfg\nlog_file={root}/log/nagios.log\nstatus_file={root}/status.dat\n\
         object_cache_file={root}/objects.cache\nprecached_object_file={root}/objects.pre\ntemp_file={root}/temporary\n\
         temp_path={root}/var\ncheck_result_path={root}/spool\ncommand_file={root}/command\nquery_socket={root}/query\n\
         lock_file={root}/lock\nstate_retention_file={root}/retention\nnagios_user={user}\nnagios_group={user}\n\
         status_update_interval=1\ninterval_length=1\nservice_inter_check_delay_method=n\nhost_inter_check_delay_method=n\n\
         use_syslog=0\nlog_archive_path={root}/log\nenable_notifications=0\ncheck_external_commands=0\n\
         execute_service_checks=1\ncheck_for_updates=0\n"
    )
}

/// The services of nagios' status file that were checked.
fn nagios_seen(status: &str) -> Seen {
    let mut seen = Seen::new();
    for block in status.split("servicestatus {").skip(1) {
        let field = |name: &str| {
            block
                .lines()
                .find_map(|line| line.trim().strip_prefix(name)?.strip_prefix('='))
                .unwrap_or_default()
                .to_owned()
        };
        if field("has_been_checked") == "1" {
            seen.insert(
                field("service_description"),
                (
                    field("current_state").parse().unwrap(),
                    field("plugin_output"),
                    field("performance_data"),
                ),
            );
        }
    }
    seen
}

/// This process's user, by name.
fn user() -> String {
    let output = Command::new("id").arg("-un").output().unwrap();
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[test]
fn nagios_sees_states_and_performance_data() {
    const NAGIOS: &str = "/usr/sbin/nagios4";
    if !Path::new(NAGIOS).exists() {
        skip::skip("needs nagios4, of the Debian package nagios4-core");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    for name in ["log", "spool", "var"] {
        fs::create_dir(root.join(name)).unwrap();
    }
    store_answers(root);
    fs::write(root.join("objects.cfg"), nagios_objects(root)).unwrap();
    let configuration = root.join("nagios.cfg");
    let text = nagios_configuration(root.to_str().unwrap(), &user());
    fs::write(&configuration, text).unwrap();
    let server = Command::new(NAGIOS)
        .arg(&configuration)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn();
    let server = Server(server.unwrap());
    let seen = wait_for("nagios' four checks", || {
        let seen = nagios_seen(&fs::read_to_string(root.join("status.dat")).unwrap_or_default());
        (seen.len() == SERVICES.len()).then_some(seen)
    });
    drop(server);
    assert_seen("nagios4", &seen);
}

fn icinga_configuration(root: &Path) -> String {
    let mut text = format!(
        "const PluginContribDir = \"{}\"\nobject CheckerComponent \"checker\" {{ }}\n\
         object PerfdataWriter \"perfdata\" {{\n  service_perfdata_path = \"{root}/seen\"\n  service_temp_path = \"{root}/seen.new\"\n  \
         host_perfdata_path = \"{root}/hosts\"\n  host_temp_path = \"{root}/hosts.new\"\n  rotation_interval = 1s\n  \
         service_format_template = \"BEGIN $service.name$\\t$service.state_id$\\t$service.perfdata$\\t$service.output$\"\n}}\n\
         object CheckCommand \"nothing\" {{ command = [ \"/bin/true\" ] }}\n\
         object Host \"sim\" {{ check_command = \"nothing\" }}\n{}\n",
        Path::new(PROGRAM).parent().unwrap().display(),
        include_str!("../../examples/icinga2.conf"),
        root = root.display(),
    );
    for (name, _, _, _) in SERVICES {
        text.push_str(&format!(
            "object Service \"{name}\" {{\n  host_name = \"sim\"\n  check_command = \"sim_credit\"\n  check_interval = 2s\n  \
             max_check_attempts = 1\n  vars.sim_credit_state = \"{}/{name}.answer\"\n  vars.sim_credit_warning = \"5:\"\n  \
             vars.sim_credit_critical = \"2:\"\n}}\n",
            root.display()
        ));
    }
    text
}

/// The services in the files of icinga's performance data, whose figures it has parsed.
fn icinga_seen(root: &Path) -> Seen {
    let mut seen = Seen::new();
    let files: Vec<PathBuf> = fs::read_dir(root)
        .unwrap()
        .flatten()
        .map(|file| file.path())
        .filter(|path| {
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            name.starts_with("seen.") && name != "seen.new"
        })
        .collect();
    for path in files {
        let text = fs::read_to_string(path).unwrap_or_default();
        for record in text.split("BEGIN ").skip(1) {
            let fields: Vec<&str> = record.splitn(4, '\t').collect();
            let [name, state, performance, output] = fields[..] else {
                continue;
            };
            let line = output.lines().next().unwrap_or_default().to_owned();
            let state = state.parse().unwrap();
            seen.insert(name.to_owned(), (state, line, performance.to_owned()));
        }
    }
    seen
}

#[test]
fn icinga_sees_states_and_performance_data() {
    const ICINGA: &str = "/usr/sbin/icinga2";
    if !Path::new(ICINGA).exists() {
        skip::skip("needs icinga2, of the Debian package icinga2-bin");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    for name in ["data", "log", "cache", "run", "spool"] {
        fs::create_dir(root.join(name)).unwrap();
    }
    store_answers(root);
    let configuration = root.join("icinga2.conf");
    fs::write(&configuration, icinga_configuration(root)).unwrap();
    let mut server = Command::new(ICINGA);
    server
        .args(["daemon", "-x", "warning", "-c"])
        .arg(&configuration);
    for (name, place) in [
        ("DataDir", "data"),
        ("LogDir", "log"),
        ("CacheDir", "cache"),
        ("InitRunDir", "run"),
        ("SpoolDir", "spool"),
        ("PidPath", "run/pid"),
        ("VarsPath", "vars"),
        ("StatePath", "state"),
        ("ObjectsPath", "objects"),
    ] {
        server.arg(format!("-D{name}={}", root.join(place).display()));
    }
    let user = user();
    let server = server
        .arg(format!("-DRunAsUser={user}"))
        .arg(format!("-DRunAsGroup={user}"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn();
    let server = Server(server.unwrap());
    let seen = wait_for("icinga's four checks", || {
        let seen = icinga_seen(root);
        (seen.len() == SERVICES.len()).then_some(seen)
    });
    drop(server);
    assert_seen("icinga2", &seen);
}
