/**
 * The default system call policy of containers, as rules on names: what is not allowed here is refused.
 * Pure. The permissions are those of Docker's public default profile: kernel keyrings, modules, kexec,
 * namespaces, mounts, BPF and clocks need a capability or are refused. Argument tests look at the low 32
 * bits, because that is what the kernel reads of these arguments:
 * a test of all 64 could be stepped around by setting a high bit.
 */

export type SeccompAction = { readonly kind: "allow" } | { readonly kind: "errno"; readonly errno: number };

/** On the low 32 bits of an argument. */
export interface ArgTest {
  readonly index: number;
  readonly op: "eq" | "ne" | "masked-eq";
  readonly value: number;
  /** For masked-eq: (argument & mask) == value. */
  readonly mask?: number;
}

export interface SeccompRule {
  readonly names: readonly string[];
  readonly action: SeccompAction;
  /** All must hold; several rules of one name are alternatives. */
  readonly tests?: readonly ArgTest[];
}

export interface SeccompPolicy {
  /** For a known call that no rule allows. */
  readonly refusedErrno: number;
  /** For a call newer than every table: programs then fall back to an older one. */
  readonly unknownErrno: number;
  readonly rules: readonly SeccompRule[];
}

const EPERM = 1;
const ENOSYS = 38;
const ALLOW: SeccompAction = { kind: "allow" };
const words = (text: string): string[] => text.split(/\s+/).filter((word) => word !== "");

const FILES = words(`
  access cachestat chdir chmod chown chown32 close close_range copy_file_range creat dup dup2 dup3
  faccessat faccessat2 fadvise64 fadvise64_64 fallocate fchdir fchmod fchmodat fchmodat2 fchown fchown32
  fchownat fcntl fcntl64 fdatasync fgetxattr flistxattr flock fremovexattr fsetxattr fstat fstat64
  fstatat64 fstatfs fstatfs64 fsync ftruncate ftruncate64 futimesat getcwd getdents getdents64 getxattr
  getxattrat lchown lchown32 lgetxattr link linkat listmount listxattr listxattrat llistxattr lremovexattr
  lseek _llseek lsetxattr lstat lstat64 mkdir mkdirat mknod mknodat name_to_handle_at newfstatat open
  openat openat2 pread64 preadv preadv2 pwrite64 pwritev pwritev2 read readahead readlink readlinkat readv
  remap_file_pages removexattr removexattrat rename renameat renameat2 rmdir sendfile sendfile64 setxattr
  setxattrat splice stat stat64 statfs statfs64 statmount statx symlink symlinkat sync sync_file_range
  syncfs tee truncate truncate64 umask unlink unlinkat utime utimensat utimensat_time64 utimes vmsplice
  write writev ioctl inotify_add_watch inotify_init inotify_init1 inotify_rm_watch fanotify_mark io_cancel
  io_destroy io_getevents io_pgetevents io_pgetevents_time64 io_setup io_submit
`);

const MEMORY = words(`
  brk madvise map_shadow_stack membarrier memfd_create memfd_secret mincore mlock mlock2 mlockall mmap
  mmap2 mprotect mremap mseal msync munlock munlockall munmap pkey_alloc pkey_free pkey_mprotect
  process_mrelease
`);

const PROCESSES = words(`
  alarm capget capset execve execveat exit exit_group fork futex futex_time64 futex_requeue futex_wait
  futex_waitv futex_wake getcpu getegid getegid32 geteuid geteuid32 getgid getgid32 getgroups getgroups32
  getpgid getpgrp getpid getppid getpriority getresgid getresgid32 getresuid getresuid32 getrlimit
  get_robust_list getrusage getsid get_thread_area gettid getuid getuid32 ioprio_get ioprio_set kill
  landlock_add_rule landlock_create_ruleset landlock_restrict_self pause pidfd_open pidfd_send_signal
  prctl prlimit64 rseq sched_getaffinity sched_getattr sched_getparam sched_get_priority_max
  sched_get_priority_min sched_getscheduler sched_rr_get_interval sched_rr_get_interval_time64
  sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield seccomp setfsgid
  setfsgid32 setfsuid setfsuid32 setgid setgid32 setgroups setgroups32 setpgid setpriority setregid
  setregid32 setresgid setresgid32 setresuid setresuid32 setreuid setreuid32 setrlimit set_robust_list
  setsid set_thread_area set_tid_address setuid setuid32 sysinfo tgkill times tkill ugetrlimit uname vfork
  wait4 waitid waitpid ptrace process_vm_readv process_vm_writev arch_prctl modify_ldt
`);

const SIGNALS = words(`
  restart_syscall rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend
  rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo sigaction sigaltstack signal signalfd signalfd4
  sigpending sigprocmask sigreturn sigsuspend
`);

const TIME = words(`
  adjtimex clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime clock_gettime64
  clock_nanosleep clock_nanosleep_time64 getitimer gettimeofday nanosleep setitimer time timer_create
  timer_delete timer_getoverrun timer_gettime timer_gettime64 timer_settime timer_settime64 timerfd_create
  timerfd_gettime timerfd_gettime64 timerfd_settime timerfd_settime64
`);

const COMMUNICATION = words(`
  accept accept4 bind connect epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2
  epoll_wait epoll_wait_old eventfd eventfd2 getpeername getrandom getsockname getsockopt ipc listen
  mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend mq_timedsend_time64
  mq_unlink msgctl msgget msgrcv msgsnd _newselect pipe pipe2 poll ppoll ppoll_time64 pselect6
  pselect6_time64 recvfrom recvmmsg recvmmsg_time64 recvmsg select semctl semget semop semtimedop
  semtimedop_time64 sendmmsg sendmsg sendto setsockopt shmat shmctl shmdt shmget shutdown socketcall
  socketpair
`);

/** Allowed when the container has any of the capabilities named. */
const BY_CAPABILITY: readonly (readonly [capability: string, names: readonly string[]])[] = [
  ["CAP_DAC_READ_SEARCH", words("open_by_handle_at")],
  [
    "CAP_SYS_ADMIN",
    words(`
      bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie lsm_get_self_attr
      lsm_list_modules lsm_set_self_attr mount mount_setattr move_mount open_tree perf_event_open quotactl
      quotactl_fd setdomainname sethostname setns syslog umount umount2 unshare
    `),
  ],
  ["CAP_SYS_BOOT", words("reboot")],
  ["CAP_SYS_CHROOT", words("chroot")],
  ["CAP_SYS_MODULE", words("delete_module finit_module init_module")],
  ["CAP_SYS_PACCT", words("acct")],
  ["CAP_SYS_PTRACE", words("kcmp pidfd_getfd process_madvise")],
  ["CAP_SYS_RAWIO", words("ioperm iopl")],
  ["CAP_SYS_TIME", words("clock_settime clock_settime64 settimeofday stime")],
  ["CAP_SYS_TTY_CONFIG", words("vhangup")],
  ["CAP_SYS_NICE", words("get_mempolicy mbind set_mempolicy set_mempolicy_home_node")],
  ["CAP_SYSLOG", words("syslog")],
  ["CAP_BPF", words("bpf")],
  ["CAP_PERFMON", words("perf_event_open")],
];

/** Linux, Linux32 and their short-inode variants, and the question "which?". */
const PERSONALITIES = [0x0, 0x8, 0x20000, 0x20008, 0xffffffff];
/** All CLONE_NEW* bits except the time namespace, which clone cannot make. */
const CLONE_NAMESPACES = 0x7e020000;
const AF_VSOCK = 40;

/** Capabilities that change the policy: containers that agree on these share one compiled filter. */
export const POLICY_CAPABILITIES: readonly string[] = BY_CAPABILITY.map(([capability]) => capability);

export function defaultSeccompPolicy(capabilities: readonly string[]): SeccompPolicy {
  const rules: SeccompRule[] = [
    { names: [...FILES, ...MEMORY, ...PROCESSES, ...SIGNALS, ...TIME, ...COMMUNICATION], action: ALLOW },
    // A socket to the hypervisor would pass every network namespace by.
    { names: ["socket"], action: ALLOW, tests: [{ index: 0, op: "ne", value: AF_VSOCK }] },
  ];
  for (const value of PERSONALITIES)
    rules.push({ names: ["personality"], action: ALLOW, tests: [{ index: 0, op: "eq", value }] });
  for (const [capability, names] of BY_CAPABILITY)
    if (capabilities.includes(capability)) rules.push({ names, action: ALLOW });
  if (!capabilities.includes("CAP_SYS_ADMIN")) {
    rules.push({
      names: ["clone"],
      action: ALLOW,
      tests: [{ index: 0, op: "masked-eq", mask: CLONE_NAMESPACES, value: 0 }],
    });
    // Its flags are behind a pointer, out of a filter's reach: "no such call" makes libraries use clone.
    rules.push({ names: ["clone3"], action: { kind: "errno", errno: ENOSYS } });
  }
  return { refusedErrno: EPERM, unknownErrno: ENOSYS, rules };
}
