export { type Answer, type Connection, type ConnectionOptions, connect, readText } from "./connection.ts";
export { DownloadError, isPassing, isPassingStatus, type Persistence, persistently, reasonOf } from "./failure.ts";
export { checkSpace, type Download, type ExpectedFile, fetchFile } from "./fetch-file.ts";
export { isSafePath } from "./safe-path.ts";
