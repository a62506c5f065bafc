// The side panel: the list of regions, numbers of the selected one, what may change, prompts.
import { EDITABLE } from '../document.js'
import { make } from './dom.js'
import { buildFields } from './fields.js'
import { buildList } from './list.js'
import { adaptivePolygons } from './render_mask.js'
/** @import { Editing, Editor } from './types.js' */

const MODES = /** @type {Record<string, string>} */ ({ adaptive: 'around the drag', painted: 'what I paint', none: 'everything' })

/** @param {Editor} ed */
export function buildPanel(ed) {
  const list = buildList(ed)
  const fields = buildFields(ed)
  const mode = make('select', { class: 'drg-select', 'aria-label': 'What may change', on: { change: () => setMode(/** @type {Editing} */ (mode.value)) } },
    ...EDITABLE.map((value) => make('option', { value, text: MODES[value] })))
  const paint = make('button', { type: 'button', class: 'drg-pill', text: 'Paint', title: 'Paint with brush and eraser where the picture may change', on: { click: () => setPaint(!ed.paintMask) } })
  const source = prompt('Prompt before', 'What the picture shows', 'source')
  const target = prompt('Prompt after', 'What it shall show after the drag', 'target')
  const el = make('aside', { class: 'drg-panel', 'aria-label': 'Regions, numbers, prompts' },
    section('Regions', list.el), fields.el,
    section('What may change', make('div', { class: 'drg-row' }, mode, paint)),
    section('Prompts', source.el, target.el))
  let open = /** @type {boolean | null} */ (null) // null: as the width says

  /** @param {string} name @param {string} placeholder @param {'source' | 'target'} key */
  function prompt(name, placeholder, key) {
    const area = make('textarea', { class: 'drg-text', rows: '2', placeholder, 'aria-label': name, spellcheck: 'false' })
    area.addEventListener('change', () => {
      ed.edit({ ...ed.doc, prompts: { ...ed.doc.prompts, [key]: area.value } })
      ed.commit('change a prompt')
    })
    return { el: make('label', { class: 'drg-field drg-tall' }, make('span', { text: name }), area), area, key }
  }

  /** @param {Editing} value */
  function setMode(value) {
    const { editable } = ed.doc
    const fresh = value === 'painted' && !editable.polygons.length && !editable.strokes.length
    const shape = fresh ? { polygons: adaptivePolygons(ed), holes: [], strokes: [] } : {} // starts from what was shown
    ed.edit({ ...ed.doc, editable: { ...editable, ...shape, mode: value } })
    ed.commit('choose what may change')
    setPaint(value === 'painted')
  }

  /** @param {boolean} on */
  function setPaint(on) {
    ed.paintMask = on
    if (on) {
      ed.show.mask = true
      ed.setTool('brush')
    } else if (ed.tools[ed.tool].keys !== 'none') ed.setTool('select')
    ed.sync()
    ed.focus()
  }

  const shown = () => (open === null ? ed.el.clientWidth >= 720 : open)

  return {
    el,
    paint: setPaint,
    toggle() {
      open = !shown()
      ed.sync()
      requestAnimationFrame(() => ed.layout())
    },
    /** Closes the sheet where it covers the picture. */
    closeSheet() {
      if (!shown() || ed.el.clientWidth >= 720) return false
      open = false
      ed.sync()
      return true
    },
    numbers: () => { if (shown()) fields.numbers(!!ed.gesture) },
    sync() {
      ed.el.classList.toggle('drg-open', shown())
      if (!shown()) return
      list.sync()
      fields.sync()
      mode.value = ed.doc.editable.mode
      paint.setAttribute('aria-pressed', String(ed.paintMask))
      for (const { area, key } of [source, target]) if (document.activeElement !== area) area.value = ed.doc.prompts[key] ?? ''
    }
  }
}

/** @param {string} title @param {...HTMLElement} children */
function section(title, ...children) {
  return make('section', { class: 'drg-section' }, make('h3', { text: title }), ...children)
}

