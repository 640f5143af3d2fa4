//! Tests that need a process of their own: signals and the environment belong to a process.

use std::process::{Command, Stdio};

/// Set in the child process that a test starts from its own binary.
const CHILD: &str = "NAMECAM_TEST_CHILD";

/// The command that runs the test `test` of the module `module` in a child process.
pub fn again(module: &str, test: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    // A module's path begins with the name of the crate.
    let module = module.split_once("::").map_or(module, |(_, inside)| inside);
    command.args([&format!("{module}::{test}"), "--exact", "--nocapture", "--test-threads=1"]);
    command.env(CHILD, "1").env_remove("NOTIFY_SOCKET").env_remove("WATCHDOG_USEC").env_remove("WATCHDOG_PID");
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    command
}

/// True in the child process.
pub fn is_child() -> bool {
    std::env::var_os(CHILD).is_some()
}
