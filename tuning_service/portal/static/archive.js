// A folder of the reader's own as a tar.gz, made in the browser: ustar, with pax headers for long or foreign names.
const BLOCK = 512;
const LEFT_OUT = /(^|\/)(\.git|__pycache__|\.venv|venv|node_modules|\.ipynb_checkpoints)(\/|$)|\.pyc$|(^|\/)\.DS_Store$/;
const encoder = new TextEncoder();

function header(name, size, type) {
  const block = new Uint8Array(BLOCK);
  const put = (text, at) => block.set(encoder.encode(text), at);
  put(name, 0);
  put("0000644\0", 100);
  put("0000000\0", 108);
  put("0000000\0", 116);
  put(`${size.toString(8).padStart(11, "0")}\0`, 124);
  put("00000000000\0", 136);
  put("        ", 148);
  put(type, 156);
  put("ustar\x0000", 257);
  const sum = block.reduce((total, byte) => total + byte, 0);
  put(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
  return block;
}

const padding = (size) => new Uint8Array((BLOCK - (size % BLOCK)) % BLOCK);

function pax(name) {
  const rest = ` path=${name}\n`;
  let length = encoder.encode(rest).length;
  while (String(length).length + encoder.encode(rest).length !== length) length = String(length).length + encoder.encode(rest).length;
  return encoder.encode(`${length}${rest}`);
}

// `files` as an input with webkitdirectory has them. The folder's own name is left out, and so is what nobody trains with.
export async function packed(files) {
  const parts = [];
  let count = 0;
  for (const file of files) {
    const name = file.webkitRelativePath.split("/").slice(1).join("/");
    if (!name || LEFT_OUT.test(name)) continue;
    const bytes = encoder.encode(name);
    if (bytes.length > 99 || bytes.length !== name.length) {
      const record = pax(name);
      parts.push(header("pax", record.length, "x"), record, padding(record.length));
    }
    const short = bytes.length > 99 || bytes.length !== name.length ? `file-${count}` : name;
    parts.push(header(short, file.size, "0"), file, padding(file.size));
    count += 1;
  }
  if (!count) throw new Error("The folder holds no files. Choose the one in which the program is.");
  parts.push(new Uint8Array(2 * BLOCK));
  const stream = new Blob(parts).stream().pipeThrough(new CompressionStream("gzip"));
  return new Response(stream).blob();
}
