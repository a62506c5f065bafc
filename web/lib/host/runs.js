// What the server tells of a running prompt, brought to the editors whose drags run in it.
import { dragsIn, edits } from './prompt.js'
/** @import { Picture } from '../editor/types.js' */
/** @import { Prompt } from './prompt.js' */
/** @import { Api, DragEditor, Events, Failure, Output, Ref } from './types.js' */

/**
 * @typedef {import('./prompt.js').Drags & {id: string, prompt: Prompt, workflow: string | undefined, rectangles: Map<string, number[]>}} Run
 * @typedef {[number, string, Prompt, {client_id?: string, extra_pnginfo?: {workflow?: {id?: string}}}?]} Entry of the server's queue
 * @typedef {ReturnType<typeof runView>} RunView
 */

/**
 * Listens to the server for as long as the page lives.
 * @param {Api} api
 * @param {() => Record<string, Output> | undefined} outputs of the nodes, by their ids: what they gave when they ran last
 * @param {(workflow: string | undefined, ids: Set<string>) => RunView[]} find editors in the graph that is open, by their ids in a prompt
 * as runView() makes them
 */
export function watchRuns(api, outputs, find) {
  /** @type {Map<string, Promise<Run | null>>} */
  const runs = new Map()

  /** The prompt of this page with that id, from the queue or, if it ended meanwhile, the history. @param {string} id @returns {Promise<Run | null>} */
  async function look(id) {
    /** @type {{queue_running?: Entry[], queue_pending?: Entry[]}} */
    const queue = await (await api.fetchApi('/queue')).json()
    let entry = [...(queue.queue_running ?? []), ...(queue.queue_pending ?? [])].find((x) => x[1] === id)
    entry ??= (await (await api.fetchApi(`/history/${encodeURIComponent(id)}`)).json())[id]?.prompt
    if (!entry || entry[3]?.client_id !== api.clientId) return null // not queued here
    return { id, prompt: entry[2], ...dragsIn(entry[2]), workflow: entry[3]?.extra_pnginfo?.workflow?.id, rectangles: new Map() }
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

  const editorsOf = (/** @type {Run} */ run, /** @type {string} */ id) => find(run.workflow, run.down.get(String(id)) ?? new Set())
  const cropOf = (/** @type {Run} */ run, /** @type {string} */ id) => {
    const crop = run.crops.get(String(id))
    return crop === undefined ? null : run.rectangles.get(crop) ?? outputs()?.[crop]?.drag_crop ?? [0, 0, 0, 0]
  }

  const editorsIn = (/** @type {Run} */ run) => find(run.workflow, new Set([...run.down.values()].flatMap((ids) => [...ids])))
  const around = (/** @type {Run} */ run, /** @type {string | undefined} */ id) => {
    const ids = run.around.get(String(id))
    return ids ? find(run.workflow, ids) : editorsIn(run)
  }

  on('execution_start', (d) => d.prompt_id, (run) => {
    for (const editor of editorsIn(run)) editor.told('', [])
  })

  on('progress', (d) => d.prompt_id, (run, d) => {
    if (!edits(run.prompt[d.node]?.class_type)) return
    for (const editor of editorsOf(run, d.node)) editor.at(run.id, d.max > 0 ? d.value / d.max : 0, cropOf(run, d.node))
  })

  on('b_preview_with_metadata', (d) => d.jobId ?? d.promptId, async (run, d) => {
    const id = d.displayNodeId ?? d.nodeId
    const editors = edits(run.prompt[id]?.class_type) ? editorsOf(run, id) : []
    if (!editors.length) return
    const bitmap = await createImageBitmap(d.blob)
    for (const editor of editors) editor.preview(bitmap)
  })

  on('executed', (d) => d.prompt_id, (run, d) => {
    const id = String(d.display_node ?? d.node)
    if (d.output?.drag_crop) run.rectangles.set(id, d.output.drag_crop)
    if (d.output?.drag_notes) for (const editor of editorsOf(run, id)) editor.told('', d.output.drag_notes)
    const [intent] = d.output?.drag_intent ?? []
    if (intent) for (const editor of editorsOf(run, id)) editor.intent(intent)
    const ref = d.output?.images?.[0]
    const editors = ref && run.results.get(id)
    if (editors) for (const editor of find(run.workflow, editors)) editor.result(run.id, ref, run.crops.size > 0)
  })

  for (const name of /** @type {const} */ (['execution_success', 'execution_error', 'execution_interrupted'])) {
    on(name, (d) => d.prompt_id, (run, d) => {
      for (const editor of editorsIn(run)) editor.end(run.id)
      if (name === 'execution_error') for (const editor of around(run, /** @type {Failure} */ (d).node_id)) editor.told(reason(d), [])
      runs.delete(run.id)
    })
  }
}

/** Why a run failed, in a sentence; of another pack's node with its name. @param {Failure} detail */
function reason({ exception_message: message, node_type: type }) {
  const [first] = String(message ?? '').trim().split('\n')
  const said = first.replace(/^(Execution Blocked|\S*[./\\]\w+(Error|Exception)|DragError): */, '').trim() || 'the run failed'
  return /^Drag/.test(type ?? '') ? said : `${type}: ${said}`
}

/**
 * A run as one editor shows it: its progress, its previews, its result.
 * @param {Pick<DragEditor, 'setIntent' | 'setPreview' | 'setResult' | 'setTold'>} editor @param {{url: (ref: Ref) => string}} host
 */
export function runView(editor, { url }) {
  let id = /** @type {string | null} */ (null)
  let progress = 0
  let cropped = /** @type {number[] | null} */ (null)
  let picture = /** @type {HTMLImageElement | null} */ (null)

  /** The preview of a crop where it lies in the picture. @param {Picture} bitmap */
  function placed(bitmap) {
    if (!cropped) return bitmap
    const [x, y, w, h] = cropped
    if (!picture?.naturalWidth || !w) return null
    const { naturalWidth: width, naturalHeight: height } = picture
    const k = Math.min(1, 1024 / Math.max(width, height))
    const canvas = document.createElement('canvas')
    canvas.width = Math.round(width * k)
    canvas.height = Math.round(height * k)
    const g = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'))
    g.drawImage(picture, 0, 0, canvas.width, canvas.height)
    g.drawImage(bitmap, x * k, y * k, w * k, h * k)
    return canvas
  }

  return {
    get id() {
      return id
    },
    /** @param {HTMLImageElement | null} image that the drag is drawn on */
    picture(image) {
      picture = image
    },
    /** The drag is at `part` of its way. @param {string} run @param {number} part @param {number[] | null} crop */
    at(run, part, crop) {
      id = run
      progress = part
      cropped = crop
      editor.setPreview(null, part)
    },
    /** @param {Picture} bitmap */
    preview(bitmap) {
      if (id === null) return
      const shown = placed(bitmap)
      if (shown) editor.setPreview(shown, progress)
    },
    /** @param {string} run a picture that the finished drag led to @param {Ref} ref @param {boolean} exact it must have the picture's size */
    result(run, ref, exact) {
      const image = new Image()
      image.onload = () => {
        const { naturalWidth: width = 0, naturalHeight: height = 0 } = picture ?? {}
        if (!width || (id !== null && id !== run)) return
        const same = image.naturalWidth === width && image.naturalHeight === height
        const ratio = (image.naturalWidth * height) / (image.naturalHeight * width)
        if (!same && (exact || Math.abs(ratio - 1) > 0.02)) return
        id = null
        editor.setResult(image)
      }
      image.src = url(ref)
    },
    /** What the run said. @param {string} error why it failed, or nothing @param {string[]} notes */
    told: (error, notes) => editor.setTold(error, notes),
    /** @param {unknown} intent what the drag may mean */
    intent: (intent) => editor.setIntent(intent),
    /** @param {string} run it ended */
    end(run) {
      if (id !== run) return
      id = null
      editor.setPreview(null, null)
    }
  }
}
