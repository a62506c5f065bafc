/**
 * Bytes of PNG pictures and of one ZIP around several files, both without compression: written at once, without help.
 *
 * @typedef {{width: number, height: number, data: ArrayLike<number>}} Picture 1 (grey), 3 (RGB) or 4 (RGBA) bytes a
 *   pixel
 */

const CRC = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let k = 0; k < 8; k++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1
  return n >>> 0
})

/** @param {Uint8Array} bytes */
export function crc32(bytes) {
  let c = 0xffffffff
  for (let i = 0; i < bytes.length; i++) c = CRC[(c ^ bytes[i]) & 255] ^ (c >>> 8)
  return (c ^ 0xffffffff) >>> 0
}

/** @param {Uint8Array} bytes */
function adler32(bytes) {
  let a = 1, b = 0
  for (let i = 0; i < bytes.length;) {
    for (const end = Math.min(i + 3800, bytes.length); i < end; i++) b += a += bytes[i]
    a %= 65521
    b %= 65521
  }
  return (b * 65536 + a) >>> 0
}

/** @param {(Uint8Array | number[])[]} parts @returns {Uint8Array<ArrayBuffer>} */
function joined(parts) {
  const out = new Uint8Array(parts.reduce((n, p) => n + p.length, 0))
  let at = 0
  for (const p of parts) {
    out.set(p, at)
    at += p.length
  }
  return out
}

const big = (/** @type {number} */ v) => [v >>> 24, (v >>> 16) & 255, (v >>> 8) & 255, v & 255]
/** @param {number} v @param {number} n bytes */
const little = (v, n) => Array.from({ length: n }, (_, i) => Math.floor(v / 256 ** i) & 255)
const letters = (/** @type {string} */ s) => [...s].map((c) => c.charCodeAt(0))

/** A PNG file of a picture. @param {Picture} picture @returns {Uint8Array<ArrayBuffer>} */
export function pngOf({ width, height, data }) {
  const channels = data.length / (width * height)
  const row = width * channels, raw = new Uint8Array(height * (row + 1)) // every row begins with its filter: none
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < row; x++) raw[y * (row + 1) + 1 + x] = data[y * row + x]
  }
  const blocks = /** @type {(Uint8Array | number[])[]} */ ([[0x78, 0x01]])
  for (let i = 0; i < raw.length; i += 65535) {
    const part = raw.subarray(i, i + 65535), last = i + 65535 >= raw.length ? 1 : 0
    blocks.push([last, ...little(part.length, 2), ...little(65535 - part.length, 2)], part)
  }
  blocks.push(big(adler32(raw)))
  const chunk = (/** @type {string} */ name, /** @type {Uint8Array} */ body) => {
    const inner = joined([letters(name), body])
    return joined([big(body.length), inner, big(crc32(inner))])
  }
  const kind = /** @type {Record<number, number>} */ ({ 1: 0, 3: 2, 4: 6 })[channels]
  const head = Uint8Array.from([...big(width), ...big(height), 8, kind, 0, 0, 0])
  return joined([
    [137, 80, 78, 71, 13, 10, 26, 10],
    chunk('IHDR', head), chunk('IDAT', joined(blocks)), chunk('IEND', new Uint8Array(0))
  ])
}

/** The bytes of one file of an export. @param {string | Picture} content */
export const bytesOf = (content) => (typeof content === 'string' ? new TextEncoder().encode(content) : pngOf(content))

/** A ZIP file of texts and pictures. @param {Record<string, string | Picture>} files @returns {Uint8Array<ArrayBuffer>} */
export function zipOf(files) {
  const bodies = /** @type {(Uint8Array | number[])[]} */ ([]), list = /** @type {(Uint8Array | number[])[]} */ ([])
  let at = 0
  for (const [name, content] of Object.entries(files)) {
    const label = new TextEncoder().encode(name), bytes = bytesOf(content), size = little(bytes.length, 4)
    // version 2.0, names in UTF-8, stored, 1 January 1980
    const facts = [
      20, 0, 0, 8, 0, 0, 0, 0, 33, 0, ...little(crc32(bytes), 4), ...size, ...size, ...little(label.length, 2), 0, 0
    ]
    bodies.push([80, 75, 3, 4, ...facts], label, bytes)
    list.push([80, 75, 1, 2, 20, 0, ...facts, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, ...little(at, 4)], label)
    at += 30 + label.length + bytes.length
  }
  const n = little(Object.keys(files).length, 2), length = list.reduce((sum, p) => sum + p.length, 0)
  const end = [80, 75, 5, 6, 0, 0, 0, 0, ...n, ...n, ...little(length, 4), ...little(at, 4), 0, 0]
  return joined([...bodies, ...list, end])
}
