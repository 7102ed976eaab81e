//! Optional native parts of dchat. The Python beside each is the reference, and a test holds both to the same answers.
//!
//! Pure: nothing here reads a clock, a file or the environment, and all that is random is the coefficients of a batch of
//! signatures, which no answer depends on.
#![forbid(unsafe_code)]

mod cache;
mod signatures;
mod tree;

#[pyo3::pymodule]
mod dchat_native {
    use pyo3::exceptions::PyValueError;
    use pyo3::prelude::*;
    use pyo3::pybacked::PyBackedBytes;
    use pyo3::types::PyBytes;

    use super::cache::{Cache, Record};
    use super::tree::{Corrupt, Run, Update, check_page as checked, pack_runs};

    const RUN_BYTES: usize = 8_192; // UNDO_RUN_BYTES of chain/state/layout.py

    /// Of what is here; `crypto/native.py` uses the one that it knows.
    #[pymodule_export]
    const FORM: u32 = 5;

    /// For each (public key, message, signature) whether the Ed25519 signature holds by ZIP-215, in order.
    ///
    /// What has a wrong size does not hold. The interpreter's lock is released meanwhile.
    #[pyfunction]
    fn verify_batch(py: Python<'_>, checks: Vec<(PyBackedBytes, PyBackedBytes, PyBackedBytes)>) -> Vec<bool> {
        py.detach(|| {
            let parts: Vec<_> =
                checks.iter().map(|(key, message, signature)| (&key[..], &message[..], &signature[..])).collect();
            super::signatures::verify_all(&parts)
        })
    }

    /// (root, whether the record is the one that is written for this page) of a page's content. Raises ValueError.
    #[pyfunction]
    fn check_page<'py>(py: Python<'py>, content: &[u8]) -> PyResult<(Bound<'py, PyBytes>, bool)> {
        let (root, is_exact) = checked(content).map_err(told)?;
        Ok((PyBytes::new(py, &root), is_exact))
    }

    /// The undo runs of one kind of record: `UndoRuns.add`.
    #[pyfunction]
    fn undo_runs<'py>(
        py: Python<'py>,
        prefix: &[u8],
        replaced: Vec<(PyBackedBytes, Option<PyBackedBytes>)>,
    ) -> PyResult<Vec<Pair<'py>>> {
        let pairs = replaced.iter().map(|(key, record)| (&key[..], record.as_deref().unwrap_or_default()));
        let runs = pack_runs(prefix, pairs, RUN_BYTES).map_err(told)?;
        Ok(shown(py, runs))
    }

    type Bytes<'py> = Option<Bound<'py, PyBytes>>;
    type Pair<'py> = (Bound<'py, PyBytes>, Bound<'py, PyBytes>);
    type Records<'py> = Vec<(Bound<'py, PyBytes>, Option<Bound<'py, PyBytes>>)>;

    fn shown<'py>(py: Python<'py>, pairs: Vec<Run>) -> Vec<Pair<'py>> {
        let bytes = |one: &[u8]| PyBytes::new(py, one);
        pairs.iter().map(|(key, value)| (bytes(key), bytes(value))).collect()
    }

    fn told(error: Corrupt) -> PyErr {
        PyValueError::new_err(error.0)
    }

    fn record(bytes: &PyBackedBytes) -> Record {
        Record::from(&bytes[..])
    }

    /// Records of the stores as the last commit left them, within a bound of bytes.
    #[pyclass]
    struct RecordCache(Cache);

    #[pymethods]
    impl RecordCache {
        #[new]
        fn new(bytes_max: usize) -> Self {
            Self(Cache::new(bytes_max))
        }

        /// The record under that key, None: there is none; `missing`: that is not held.
        fn get<'py>(&mut self, py: Python<'py>, key: &[u8], missing: Bound<'py, PyAny>) -> Option<Bound<'py, PyAny>> {
            match self.0.get(key) {
                None => Some(missing),
                Some(record) => record.map(|record| PyBytes::new(py, &record).into_any()),
            }
        }

        /// What records are from now on, None: they are gone.
        fn put(&mut self, records: Vec<(PyBackedBytes, Option<PyBackedBytes>)>) {
            for (key, value) in &records {
                self.0.put(key, value.as_ref().map(record));
            }
        }

        /// (what is in the slot where the key would be, None), or (None, the key of a page above it that is not held).
        fn node<'py>(&mut self, py: Python<'py>, prefix: [u8; 2], key: &[u8]) -> (Bytes<'py>, Bytes<'py>) {
            match self.0.node(prefix, key) {
                Ok(node) => (Some(PyBytes::new(py, &node)), None),
                Err(missing) => (None, Some(PyBytes::new(py, &missing))),
            }
        }

        /// How many of the pages that were read are taken: those before the first that does not fit the one above it.
        fn add(&mut self, pages: Vec<(PyBackedBytes, PyBackedBytes)>) -> usize {
            pages.iter().take_while(|(key, page)| self.0.add(key, record(page))).count()
        }

        /// Hits, misses, and the bytes held.
        fn counts(&self) -> (u64, u64, usize) {
            (self.0.hits, self.0.misses, self.0.bytes)
        }
    }

    /// One update of a store's tree, in steps: `wanted` and `give` until None is wanted, `hash` until True, `root`, `take`.
    #[pyclass]
    struct TreeUpdate(Update);

    #[pymethods]
    impl TreeUpdate {
        /// prefix: 2 bytes, of the keys of the store's pages; version: 8 bytes, of new records; is_whole: what is
        /// replaced is kept whole.
        #[new]
        fn new(prefix: [u8; 2], version: [u8; 8], is_whole: bool) -> Self {
            Self(Update::new(prefix, version, is_whole))
        }

        /// Keys that change, each once, with their values, None to delete; before anything is wanted. Raises ValueError.
        fn add(&mut self, changes: Vec<(PyBackedBytes, Option<PyBackedBytes>)>) -> PyResult<()> {
            changes.iter().try_for_each(|(key, value)| self.0.add(key, value.as_deref())).map_err(told)
        }

        /// As `add`, of keys with the hashes of their leaves. Raises ValueError.
        fn add_hashed(&mut self, leaves: Vec<(PyBackedBytes, PyBackedBytes)>) -> PyResult<()> {
            leaves
                .iter()
                .try_for_each(|(key, hash)| self.0.add_hashed(key, super::tree::sha256(key), hash.to_vec()))
                .map_err(told)
        }

        /// The keys of the pages to read next, as many at most, that the cache lacks; None: all are there. Raises ValueError.
        #[pyo3(signature = (most, cache=None))]
        fn wanted<'py>(
            &mut self,
            py: Python<'py>,
            most: usize,
            mut cache: Option<PyRefMut<'py, RecordCache>>,
        ) -> PyResult<Option<Vec<Bound<'py, PyBytes>>>> {
            let cache = cache.as_mut().map(|cache| &mut cache.0);
            let keys = self.0.wanted(most, cache).map_err(told)?;
            Ok(keys.map(|keys| keys.iter().map(|key| PyBytes::new(py, key)).collect()))
        }

        /// Their records, None where there is none; for the cache, which takes those that fit. Raises ValueError.
        #[pyo3(signature = (records, cache=None))]
        fn give(
            &mut self,
            records: Vec<Option<PyBackedBytes>>,
            mut cache: Option<PyRefMut<'_, RecordCache>>,
        ) -> PyResult<()> {
            let records = records.iter().map(|one| one.as_ref().map(record)).collect();
            let cache = cache.as_mut().map(|cache| &mut cache.0);
            self.0.give(records, cache).map_err(told)
        }

        /// Hash as many pages; whether all are done.
        fn hash(&mut self, most: usize) -> bool {
            self.0.hash(most)
        }

        /// The new root, once all is hashed.
        fn root<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
            PyBytes::new(py, &self.0.root())
        }

        /// (records, undo runs, bytes of the records): as many that changed, ascending by key, and what they were; none: no more.
        fn take<'py>(
            &mut self,
            py: Python<'py>,
            most: usize,
            undo_prefix: &[u8],
        ) -> PyResult<(Records<'py>, Vec<Pair<'py>>, usize)> {
            let changed = self.0.take(most);
            let replaced = changed.iter().map(|one| (&one.key[..], &one.replaced[..]));
            let runs = pack_runs(undo_prefix, replaced, RUN_BYTES).map_err(told)?;
            let bytes = |one: &[u8]| PyBytes::new(py, one);
            let records = changed.iter().map(|one| (bytes(&one.key), one.record.as_deref().map(bytes))).collect();
            let size = changed.iter().map(|one| one.key.len() + one.record.as_ref().map_or(0, Vec::len)).sum();
            Ok((records, shown(py, runs), size))
        }
    }
}
