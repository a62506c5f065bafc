/**
 * Drags of other tools, in and out: DragFlow/ReD Bench, Drag100, DragNeXt, and our own JSON. Files are {name: text or
 * picture}: the page decodes and encodes pictures (files.js writes PNG), so that this stays pure. Imports never
 * throw.
 *
 * @typedef {import('./document.js').Doc} Doc
 * @typedef {import('./formats/parts.js').Picture} Picture
 * @typedef {Record<string, string | Picture>} Files
 * @typedef {{doc: Doc, error: string | null, picture: string | null}} Imported `picture`: the name of the file that
 *   holds the picture itself, if it is there
 * @typedef {{files: Files, notes: string[], error: string | null}} Exported
 * @typedef {{width: number, height: number, data?: ArrayLike<number>}} Source the picture's size, and its pixels if they
 *   shall be written too
 */
import { clone, emptyDocument, parse, rescaled, serialize } from './document.js'
import { problems } from './problems.js'
import { Refused, loadJson, say } from './reading.js'
import { field } from './formats/parts.js'
import { readDrag100, readDragNext, writeDrag100, writeDragNext } from './formats/points.js'
import { readRed, writeRed } from './formats/red.js'

export const KINDS = {
  json: 'Drag document (JSON)', red: 'ReD Bench / DragFlow', drag100: 'Drag100', dragnext: 'DragNeXt'
}

const DOCUMENTS = ['instruction.json', 'points.json', 'drag.json']
const PICTURES = ['original_image.png', 'original.jpg', 'original.png', 'image.jpg', 'image.png']
const STOPS = ['draft', 'empty', 'outside', 'gone', 'painted'] // problems without whose repair nothing can be written

/** @param {() => string | object} read a document's data, or its text @param {Files} files @returns {Imported} */
function imported(read, files) {
  try {
    const found = read(), own = typeof found === 'string'
    const { doc, error } = parse(own ? found : JSON.stringify(found), { finished: !own })
    return { doc, error, picture: PICTURES.find((n) => n in files) ?? null }
  } catch (e) {
    const text = e instanceof Refused ? e.message : `the files can't be read: ${String(e)}`
    return { doc: emptyDocument(), error: text.replace(/\s+/g, ' ').slice(0, 300), picture: null }
  }
}

/** @param {Files} files @param {string} name @returns {Record<string, unknown>} */
function jsonIn(files, name) {
  const text = files[name]
  if (typeof text !== 'string') say(`${name} is missing: choose it together with the pictures`)
  const data = loadJson(text)
  if (!data || typeof data !== 'object' || Array.isArray(data)) say(`${name} must hold a JSON object`)
  return /** @type {Record<string, unknown>} */ (data)
}

/** @param {Files} files @param {string} name @returns {Picture | undefined} */
const pictureIn = (files, name) => (typeof files[name] === 'string' ? undefined : /** @type {Picture} */ (files[name]))

/** @param {Files} files @returns {Imported} */
export const importRed = (files) => imported(() => {
  return readRed(jsonIn(files, 'instruction.json'), pictureIn(files, 'operation.png'), pictureIn(files, 'mask.png'))
}, files)

/** @param {Files} files @returns {Imported} */
export const importDrag100 = (files) => imported(() => {
  return readDrag100(jsonIn(files, 'points.json'), pictureIn(files, 'mask.png'))
}, files)

/** @param {Files} files @returns {Imported} */
export function importDragNext(files) {
  const handles = pictureIn(files, 'handle_region_mask.png'), mask = pictureIn(files, 'editable_region_mask.png')
  return imported(() => {
    const said = 'user_intention.json' in files ? jsonIn(files, 'user_intention.json') : {}
    return readDragNext(jsonIn(files, 'points.json'), handles, mask, field(said, 'user_intention', ''))
  }, files)
}

/** Our own JSON, drafts included. @param {Files} files @param {string} [name] @returns {Imported} */
const importOwn = (files, name = 'drag.json') => imported(() => {
  jsonIn(files, name)
  return files[name]
}, files)

/**
 * The drag in some files, whatever their format.
 * @param {Files} files names without folders @returns {Imported}
 */
export function importFiles(files) {
  const name = DOCUMENTS.find((n) => n in files) ?? Object.keys(files).find((n) => /\.json$/i.test(n))
  const none = `no drag is among these files: choose one of ${DOCUMENTS.join(', ')}, and the pictures beside it`
  if (!name) return imported(() => say(none), files)
  let data
  try {
    data = jsonIn(files, name)
  } catch (e) {
    return imported(() => { throw e }, files)
  }
  if ('region_operations' in data || 'point_operations' in data) {
    return importRed({ ...files, 'instruction.json': files[name] })
  }
  if (name === 'points.json' && !('version' in data || 'regions' in data || 'image' in data)) {
    return 'rotation' in data || 'handle_region_mask.png' in files ? importDragNext(files) : importDrag100(files)
  }
  return importOwn(files, name)
}

/**
 * @param {Doc} doc @param {Source} picture @param {string} name of the picture
 * @param {(doc: Doc, width: number, height: number) => {files: Files, notes: string[]}} write @returns {Exported}
 */
function exported(doc, picture, name, write) {
  try {
    const { width, height } = picture, fitted = rescaled(clone(doc), width, height), found = problems(fitted)
    if (!doc.regions.length && !doc.points.length) say('the drag moves nothing yet: mark a region and drag it')
    const stop = found.find((p) => STOPS.includes(p.kind)) ?? found.find((p) => p.kind === 'mask')
    if (stop) say(stop.text)
    const { files, notes } = write(fitted, width, height)
    const seen = found.filter((p) => p.kind !== 'touch').map((p) => p.text)
    const pixels = picture.data ? { [name]: /** @type {Picture} */ (picture) } : {}
    return { files: { ...pixels, ...files }, notes: [...seen, ...notes], error: null }
  } catch (e) {
    const text = e instanceof Refused ? e.message : `the drag can't be written: ${String(e)}`
    return { files: {}, notes: [], error: text }
  }
}

/**
 * @param {Doc} doc @param {Source} picture
 * @param {{taskName?: 'transformation' | 'relocation'}} [options] @returns {Exported}
 */
function exportRed(doc, picture, { taskName } = {}) {
  return exported(doc, picture, 'original_image.png', (d, w, h) => writeRed(d, w, h, taskName))
}

/** @param {Doc} doc @param {Source} picture @returns {Exported} */
const exportDrag100 = (doc, picture) => exported(doc, picture, 'original.png', writeDrag100)

/** @param {Doc} doc @param {Source} picture @returns {Exported} */
const exportDragNext = (doc, picture) => exported(doc, picture, 'original_image.png', writeDragNext)

/** @param {Doc} doc @returns {Exported} */
const exportOwn = (doc) => ({ files: { 'drag.json': serialize(doc) || '{}' }, notes: [], error: null })

/** @param {Doc} doc @param {string} kind a key of KINDS @param {Source} picture @returns {Exported} */
export function exportFiles(doc, kind, picture) {
  const writers = { red: exportRed, drag100: exportDrag100, dragnext: exportDragNext }
  const write = /** @type {Record<string, (doc: Doc, picture: Source) => Exported>} */ (writers)[kind]
  return write ? write(doc, picture) : exportOwn(doc)
}
