/**
 * Every foreign signature, and how their failures are told. Edge: to libc and libnftables by koffi. A wrong
 * signature corrupts memory, so they stand here and nowhere else, each as its manual page has it (64-bit:
 * ssize_t is long, socklen_t and mode_t are uint, dev_t is uint64_t). Buffers go in by address: a synchronous
 * call needs no care, an asynchronous one may be given strings only, which are copied.
 * Sources: mount(2), umount2(2), setns(2), unshare(2), socket(2), netlink(7), close_range(2), mallopt(3),
 * libnftables(3).
 */
import koffi from "koffi";
import { FailedPreconditionError, InternalError } from "../errors/errors.js";

const library = koffi.load("libc.so.6");

type Call<A extends readonly unknown[], R = number> = (...args: A) => R;

/** koffi takes any arguments; the types here are those of the signature beside them. */
function libc<A extends readonly unknown[], R = number>(signature: string): Call<A, R> {
  return library.func(signature) as unknown as Call<A, R>;
}

const anyMount = library.func("int mount(const char*, const char*, const char*, unsigned long, const char*)");
export const cMount = anyMount as unknown as Call<
  [source: string, target: string, type: string | null, flags: number, data: string | null]
>;
export const cSetns = libc<[fd: number, kind: number]>("int setns(int, int)");
export const cUnshare = libc<[flags: number]>("int unshare(int)");
export const cSocket = libc<[family: number, type: number, protocol: number]>("int socket(int, int, int)");
export const cBind = libc<[fd: number, address: Uint8Array, bytes: number]>(
  "int bind(int, const uint8_t*, uint)",
);
export const cListen = libc<[fd: number, backlog: number]>("int listen(int, int)");
export const cConnect = libc<[fd: number, address: Uint8Array, bytes: number]>(
  "int connect(int, const uint8_t*, uint)",
);
export const cSend = libc<[fd: number, data: Uint8Array, bytes: number, flags: number], number | bigint>(
  "long send(int, const uint8_t*, size_t, int)",
);
export const cRecv = libc<[fd: number, into: Uint8Array, bytes: number, flags: number], number | bigint>(
  "long recv(int, _Out_ uint8_t*, size_t, int)",
);
export const cFcntl = libc<[fd: number, command: number, value: number]>("int fcntl(int, int, int)");
export const cPipe2 = libc<[into: Int32Array, flags: number]>("int pipe2(_Out_ int32_t*, int)");
export const cSetsockopt = libc<
  [fd: number, level: number, option: number, value: Uint8Array, bytes: number]
>("int setsockopt(int, int, int, const uint8_t*, uint)");
export const cLsetxattr = libc<[path: string, name: string, value: Uint8Array, bytes: number, flags: number]>(
  "int lsetxattr(const char*, const char*, const uint8_t*, size_t, int)",
);
export const cLlistxattr = libc<[path: string, into: Uint8Array | null, bytes: number], number | bigint>(
  "long llistxattr(const char*, _Out_ uint8_t*, size_t)",
);
export const cLgetxattr = libc<
  [path: string, name: string, into: Uint8Array | null, bytes: number],
  number | bigint
>("long lgetxattr(const char*, const char*, _Out_ uint8_t*, size_t)");

/** openat2(2), which libc has no name for; its number is the same on every machine. */
const cSyscall = libc<
  [number: number, folder: number, path: string, how: BigUint64Array, bytes: number],
  number | bigint
>("long syscall(long, int, const char*, const uint64_t*, size_t)");
const SYS_OPENAT2 = 437;

/** @param how flags, mode, resolve. */
export function openat2(folder: number, path: string, how: BigUint64Array): number {
  return Number(cSyscall(SYS_OPENAT2, folder, path, how, how.byteLength));
}

const cUmount = library.func("int umount2(const char*, int)");

/**
 * Unmounts on a thread of the pool.
 * @returns 0 or the errno. From 3.2 on koffi gives the callback its worker's errno, at its first line.
 */
export function umountErrno(target: string, flags: number): Promise<number> {
  return new Promise((resolve, reject) => {
    cUmount.async(target, flags, (error: Error | null, result: number) => {
      const errno = koffi.errno();
      if (error) reject(new InternalError(`umount of ${target} failed: ${error.message}`, { cause: error }));
      else resolve(result === 0 ? 0 : errno);
    });
  });
}

/** Mounts on a thread of the pool. @returns 0 or the errno. */
export function mountErrno(...args: Parameters<typeof cMount>): Promise<number> {
  const [source, target, type, flags, data] = args;
  return new Promise((resolve, reject) => {
    anyMount.async(source, target, type, flags, data, (error: Error | null, result: number) => {
      const errno = koffi.errno();
      if (error) reject(new InternalError(`mount of ${target} failed: ${error.message}`, { cause: error }));
      else resolve(result === 0 ? 0 : errno);
    });
  });
}

/** A function that this libc may lack. */
function optional<A extends readonly unknown[]>(signature: string): Call<A> | undefined {
  try {
    return libc<A>(signature);
  } catch (error) {
    if (error instanceof Error) return undefined; // koffi's word for a missing symbol
    throw error;
  }
}

/** Of glibc alone, mallopt(3). */
export const cMallopt = optional<[parameter: number, value: number]>("int mallopt(int, int)");

/** In glibc from 2.34 on. */
export const cCloseRange = optional<[first: number, last: number, flags: number]>(
  "int close_range(uint, uint, int)",
);

const cMknod = optional<[path: string, mode: number, device: bigint]>(
  "int mknod(const char*, uint, uint64_t)",
);
/** What glibc before 2.33 has instead; 0 is its version of the structure on every 64-bit machine. */
const cXmknod =
  cMknod === undefined
    ? libc<[version: number, path: string, mode: number, device: BigUint64Array]>(
        "int __xmknod(int, const char*, uint, const uint64_t*)",
      )
    : undefined;

export function mknod(path: string, mode: number, device: bigint): number {
  return cMknod?.(path, mode, device) ?? cXmknod?.(0, path, mode, BigUint64Array.of(device)) ?? -1;
}

export interface NftLibrary {
  readonly create: Call<[flags: number], unknown>;
  readonly bufferOutput: Call<[context: unknown]>;
  readonly bufferError: Call<[context: unknown]>;
  readonly setOutputFlags: Call<[context: unknown, flags: number], void>;
  readonly run: Call<[context: unknown, text: string]>;
  readonly output: Call<[context: unknown], string | null>;
  readonly error: Call<[context: unknown], string | null>;
  readonly free: Call<[context: unknown], void>;
}

let nftLibrary: NftLibrary | undefined;

/** @throws {FailedPreconditionError} when libnftables is not installed. */
export function loadNft(): NftLibrary {
  if (nftLibrary !== undefined) return nftLibrary;
  try {
    const nft = koffi.load("libnftables.so.1");
    nftLibrary = {
      create: nft.func("void* nft_ctx_new(uint32_t)"),
      bufferOutput: nft.func("int nft_ctx_buffer_output(void*)"),
      bufferError: nft.func("int nft_ctx_buffer_error(void*)"),
      setOutputFlags: nft.func("void nft_ctx_output_set_flags(void*, uint)"),
      run: nft.func("int nft_run_cmd_from_buffer(void*, const char*)"),
      output: nft.func("const char* nft_ctx_get_output_buffer(void*)"),
      error: nft.func("const char* nft_ctx_get_error_buffer(void*)"),
      free: nft.func("void nft_ctx_free(void*)"),
    };
    return nftLibrary;
  } catch (error) {
    throw new FailedPreconditionError("libnftables.so.1 cannot be loaded: install nftables (libnftables1)", {
      cause: error,
    });
  }
}

/** Of two names for one number, the one that manual pages use. */
const ALIASES = ["EWOULDBLOCK", "ENOTSUP", "EDEADLOCK"];
const ERRNO_NAMES = new Map(
  Object.entries(koffi.os.errno)
    .filter(([name]) => !ALIASES.includes(name))
    .map(([name, errno]) => [errno, name]),
);
export const EINTR = 4;
export const EINVAL = 22;
export const ENOENT = 2;

/**
 * The errno of the last call of this thread. Read it before anything else is done: even an allocation may
 * change it.
 */
export function lastErrno(): number {
  return koffi.errno();
}

/** The error of a refused call: which call, on what, and the errno's name as the last word. */
export function refusal(errno: number, call: string, target: string): InternalError {
  return new InternalError(`${call} of ${target} failed: ${ERRNO_NAMES.get(errno) ?? `errno ${errno}`}`);
}

/** The same for what node:fs threw. */
export function refusalOf(error: unknown, call: string, target: string): InternalError {
  const code = error instanceof Error && "code" in error ? String(error.code) : String(error);
  return new InternalError(`${call} of ${target} failed: ${code}`, { cause: error });
}

/** C ends a string at its first NUL: what follows would be cut off in silence. @throws {InternalError} */
export function cString(value: string, what: string): string {
  if (value.includes("\0"))
    throw new InternalError(`${what} must hold no NUL, got ${JSON.stringify(value.slice(0, 200))}`);
  return value;
}
