// What the server tells of a running prompt, brought to the editors whose drags run in it.
import { phaseOf } from './phases.js'
import { dragsIn, edits } from './prompt.js'
/** @import { Prompt } from './prompt.js' */
/** @import { Api, Events, Failure, Output, Refused } from './types.js' */

/**
 * @typedef {import('./prompt.js').Drags & {id: string, prompt: Prompt, workflow: string | undefined, rectangles: Map<string, number[]>,
 *   begun: string[]}} Run begun: the nodes that work or wait, by their begin
 * @typedef {[number, string, Prompt, {client_id?: string, extra_pnginfo?: {workflow?: {id?: string}}}?]} Entry of the server's queue
 * @typedef {ReturnType<typeof import('./runview.js').runView>} RunView
 * @typedef {{id: string, view: RunView}} Found an editor in the graph that is open, and its id in the prompt
 */

/**
 * Listens to the server for as long as the page lives.
 * @param {Api} api
 * @param {() => Record<string, Output> | undefined} outputs of the nodes, by their ids: what they gave when they ran last
 * @param {(workflow: string | undefined, ids: Set<string>) => Found[]} find by the ids in a prompt
 * @param {ReturnType<typeof import('./results.js').keptDrawings>} drawings are kept there
 */
export function watchRuns(api, outputs, find, drawings) {
  /** @type {Map<string, Promise<Run | null>>} */
  const runs = new Map()

  /** The prompt of this page with that id, from the queue or, if it ended meanwhile, the history. @param {string} id @returns {Promise<Run | null>} */
  async function look(id) {
    /** @type {{queue_running?: Entry[], queue_pending?: Entry[]}} */
    const queue = await (await api.fetchApi('/queue')).json()
    let entry = [...(queue.queue_running ?? []), ...(queue.queue_pending ?? [])].find((x) => x[1] === id)
    entry ??= (await (await api.fetchApi(`/history/${encodeURIComponent(id)}`)).json())[id]?.prompt
    if (!entry || entry[3]?.client_id !== api.clientId) return null // not queued here
    return { id, prompt: entry[2], ...dragsIn(entry[2]), workflow: entry[3]?.extra_pnginfo?.workflow?.id, rectangles: new Map(), begun: [] }
  }

  const started = (/** @type {string | undefined} */ id) => {
    if (!id) return Promise.resolve(null)
    let run = runs.get(id)
    if (!run) runs.set(id, (run = look(id).catch(() => null)))
    if (runs.size > 20) runs.delete(runs.keys().next().value ?? '')
    return run
  }

  /**
   * @template {keyof Events} T
   * @param {T} name @param {(detail: Events[T]) => string | undefined} idOf @param {(run: Run, detail: Events[T]) => unknown} then
   */
  const on = (name, idOf, then) =>
    api.addEventListener(name, async ({ detail }) => {
      const run = detail && (await started(idOf(detail)))
      if (run) await then(run, detail)
    })

  const typeOf = (/** @type {Run} */ run, /** @type {string} */ id) => run.prompt[id]?.class_type ?? ''
  const views = (/** @type {Run} */ run, /** @type {Set<string> | undefined} */ ids) => find(run.workflow, ids ?? new Set()).map((found) => found.view)
  const editorsOf = (/** @type {Run} */ run, /** @type {string} */ id) => views(run, run.down.get(id))
  const editorsIn = (/** @type {Run} */ run) => views(run, new Set([...run.down.values()].flatMap((ids) => [...ids])))
  const cropOf = (/** @type {Run} */ run, /** @type {string} */ id) => {
    const crop = run.crops.get(id)
    return crop === undefined ? null : run.rectangles.get(crop) ?? outputs()?.[crop]?.drag_crop ?? [0, 0, 0, 0]
  }

  /** A node works. @param {Run} run @param {string} id @param {number} value @param {number} max */
  function at(run, id, value, max) {
    const type = typeOf(run, id)
    const ours = new Set(views(run, run.around.get(id)))
    for (const editor of editorsIn(run)) {
      const own = ours.has(editor)
      editor.at(run.id, phaseOf(type, own), own && max > 1 ? value / max : null)
    }
  }

  on('execution_start', (d) => d.prompt_id, (run) => {
    for (const editor of editorsIn(run)) editor.begin(run.id)
  })

  on('progress_state', (d) => d.prompt_id, (run, d) => {
    const working = Object.values(d.nodes).filter((n) => n.state === 'running')
    // one that waits for its inputs counts as running, too: the last that began is the one that works
    const now = [...run.begun].filter((id) => working.some((n) => n.node_id === id))
    for (const { node_id: id } of working) if (!now.includes(id)) now.push(id)
    run.begun = now
    const { node_id, display_node_id, value, max } = working.find((n) => n.node_id === now.at(-1)) ?? {}
    const id = display_node_id ?? node_id
    if (id !== undefined && value !== undefined && max !== undefined && run.prompt[id]) at(run, id, value, max)
  })

  on('progress', (d) => d.prompt_id, (run, d) => {
    if (run.prompt[d.node]) at(run, String(d.node), d.value, d.max)
  })

  on('b_preview_with_metadata', (d) => d.jobId ?? d.promptId, async (run, d) => {
    const id = d.displayNodeId ?? d.nodeId
    const editors = edits(typeOf(run, id)) ? editorsOf(run, id) : []
    if (!editors.length) return
    const bitmap = await createImageBitmap(d.blob)
    for (const editor of editors) editor.preview(run.id, bitmap, cropOf(run, id))
  })

  on('executed', (d) => d.prompt_id, (run, d) => {
    const id = String(d.display_node ?? d.node)
    if (d.output?.drag_crop) run.rectangles.set(id, d.output.drag_crop)
    const notes = notesOf(typeOf(run, id), d.output)
    if (notes.length) for (const editor of editorsOf(run, id)) editor.note(notes)
    const [intent] = d.output?.drag_intent ?? []
    if (intent) for (const editor of editorsOf(run, id)) editor.intent(intent)
    const ref = d.output?.images?.[0]
    const editors = run.results.get(id)
    if (!ref || !editors) return
    drawings.keep(ref, run.drawn)
    for (const { id: editor, view } of find(run.workflow, editors)) view.result(run.id, ref, run.crops.size > 0, run.drawn.get(editor) ?? null)
  })

  for (const name of /** @type {const} */ (['execution_success', 'execution_error', 'execution_interrupted'])) {
    on(name, (d) => d.prompt_id, (run, d) => {
      for (const editor of editorsIn(run)) editor.end(run.id, name === 'execution_interrupted')
      if (name === 'execution_error') fail(run, d)
      runs.delete(run.id)
    })
  }

  /** @param {Run} run @param {Failure} failure */
  function fail(run, failure) {
    const ids = run.around.get(String(failure.node_id))
    for (const editor of ids ? views(run, ids) : editorsIn(run)) editor.told(reason(failure), [])
  }
}

// Whose notes are lines of their text; Drag Crop's first says only where the crop lies.
const NOTES_FROM = /** @type {Record<string, number>} */ ({ DragCrop: 1, DragRegionMaskAffine: 0 })

/** What a node has to note, beside what it shows. @param {string} type @param {Output | undefined} output */
function notesOf(type, output) {
  if (output?.drag_notes) return output.drag_notes
  if (!Object.hasOwn(NOTES_FROM, type)) return []
  return [output?.text ?? []].flat().flatMap((text) => text.split('\n')).filter(Boolean).slice(NOTES_FROM[type])
}

/** Why a run failed, in a sentence; of another pack's node with its name. @param {Failure} detail */
function reason({ exception_message: message, node_type: type }) {
  const [first] = String(message ?? '').trim().split('\n')
  const said = first.replace(/^(Execution Blocked|\S*[./\\]\w+(Error|Exception)|DragError): */, '').trim() || 'the run failed'
  return /^Drag/.test(type ?? '') ? said : `${type}: ${said}`
}

/** Why the server did not take a prompt, in a sentence; empty if it does not say. @param {Record<string, Refused> | null | undefined} errors by node */
export function refusal(errors) {
  const [first] = Object.values(errors ?? {}).filter((e) => e.errors?.length)
  const { message = '', details = '' } = first?.errors?.[0] ?? {}
  return first ? [first.class_type, message, details].filter(Boolean).join(': ') : ''
}
