//! A host that forbids io_uring, for real: a seccomp filter on this process, as containers install it.
//! A program of its own without the test harness, because a filter is for ever.
#![allow(unsafe_code)]

use lockstep_net::{AnyDriver, Driver, DriverKind, Limits, NetError, probe};

const fn statement(code: u32, k: u32) -> libc::sock_filter {
    libc::sock_filter {
        code: code as u16,
        jt: 0,
        jf: 0,
        k,
    }
}

/// Makes `io_uring_setup` fail with EPERM from here on.
fn forbid_io_uring() -> bool {
    const LOAD_CALL_NUMBER: libc::sock_filter =
        statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0);
    let mut filter = [
        LOAD_CALL_NUMBER,
        libc::sock_filter {
            code: (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16,
            jt: 0,
            jf: 1,
            k: libc::SYS_io_uring_setup as u32,
        },
        statement(
            libc::BPF_RET | libc::BPF_K,
            libc::SECCOMP_RET_ERRNO | libc::EPERM as u32,
        ),
        statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog {
        len: filter.len() as libc::c_ushort,
        filter: filter.as_mut_ptr(),
    };
    // SAFETY: no memory is passed.
    let privileges = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    // SAFETY: the program and its filter live through the call, which copies them.
    let installed = unsafe {
        libc::prctl(
            libc::PR_SET_SECCOMP,
            libc::SECCOMP_MODE_FILTER,
            &raw const program,
        )
    };
    privileges == 0 && installed == 0
}

fn main() {
    if !forbid_io_uring() {
        return println!("SKIP: this host allows no seccomp filter");
    }
    let report = probe();
    let text = report.to_string();
    assert_eq!(report.chosen(), DriverKind::Epoll);
    assert!(text.starts_with("driver epoll (Linux "), "{text}");
    // A sysctl that forbids io_uring is checked first by the kernel, and named first.
    let named = text.contains("seccomp") || text.contains("io_uring_disabled");
    assert!(named && text.contains("to use it: "), "{text}");

    let limits = Limits::default();
    let error = AnyDriver::new(DriverKind::IoUring, &limits).unwrap_err();
    assert!(matches!(error, NetError::IoUring(_)), "{error}");
    assert!(error.to_string().starts_with("io_uring: "), "{error}");
    let mut driver = AnyDriver::new(DriverKind::Auto, &limits).unwrap();
    assert_eq!(driver.kind(), DriverKind::Epoll);
    driver.listen("127.0.0.1:0".parse().unwrap(), 8).unwrap();
    println!("{text}\nforbidden io_uring is named and epoll serves ... ok");
}
